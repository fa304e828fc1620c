"""ONNX Runtime behind the Runner protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime as ort

from edgevit.bundle.compiled import Built
from edgevit.common.errors import BundleError, CheckFailedError, DamagedError, InputError, some_of
from edgevit.common.installation.install_command import pip_install, uninstall
from edgevit.common.untrusted.bounded import native_name
from edgevit.common.untrusted.parsers import parsing, reason_of
from edgevit.inference.runner import Array, LayerTime, check_feeds, is_profiling
from edgevit.zoo.interface.tensors import TensorSpec
from edgevit_runtimes.backends.onnxruntime_profile import read_profile, start_profiling

_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_RECORD = "session.record_ep_graph_assignment_info"  # since ONNX Runtime 1.24
_UNREADABLE = ("InvalidProtobuf", "InvalidGraph")  # whatever the provider
_POOLS = ("intra_op", "inter_op")
_REFUSE_CPU = "session.disable_cpu_ep_fallback"


@dataclass(frozen=True)
class Placement:
    """Where nodes run.

    provider: of :data:`PROVIDERS`. allow_fallback: what it does not take may run on the processor
    (for ``tensorrt``: in CUDA, then there); else that is an error.
    """

    provider: str = "cpu"
    allow_fallback: bool = False

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Placement:
        """From the options of a compiled variant."""
        provider = str(options.get("provider", "cpu"))
        return cls(provider, bool(options.get("allow_fallback", False)))

    @property
    def wanted(self) -> str:
        return PROVIDERS[self.provider]

    @property
    def order(self) -> list[str]:
        """ONNX Runtime's list: the first that takes a node runs it."""
        if not self.allow_fallback and not _can_list():
            return [self.wanted]  # with the processor named, it would not refuse to fall back
        falls_to_cuda = self.provider == "tensorrt" and self.allow_fallback
        between = [PROVIDERS["cuda"]] if falls_to_cuda else []
        return list(dict.fromkeys([self.wanted, *between, PROVIDERS["cpu"]]))


ON_CPU = Placement()


@dataclass(frozen=True)
class Tuning:
    """Where ONNX Runtime may trade one thing for another; see :class:`.open.Host`.

    arena: keep freed memory for the next inference.
    spinning: let threads that wait for work spin for a while.
    integer_products: turn Q/DQ nodes into integer kernels. On x86-64 without VNNI their sums
        saturate; without them the graph is computed as it is written, in float.
    """

    arena: bool = True
    spinning: bool = True
    integer_products: bool = True

    def apply(self, options: ort.SessionOptions) -> None:
        options.enable_cpu_mem_arena = self.arena
        for pool in _POOLS:
            allowed = str(int(self.spinning))
            options.add_session_config_entry(f"session.{pool}.allow_spinning", allowed)
        if not self.integer_products:
            options.add_session_config_entry("session.disable_quant_qdq", "1")


DEFAULT_TUNING = Tuning()


class OnnxRuntimeRunner:
    """A session.

    Args:
        model: an ONNX file, or its bytes.
        threads: threads inside an operator.
        placement: which provider runs the nodes.
        tuning: memory for time, and processor time for latency.

    Raises:
        DamagedError: ONNX Runtime cannot read the model.
        BundleError: the provider cannot load it.
        InputError: the provider is not installed, or cannot start.
        CheckFailedError: nodes fell to another provider and may not; they are named.
    """

    def __init__(
        self,
        model: Path | bytes,
        threads: int = 1,
        placement: Placement = ON_CPU,
        tuning: Tuning = DEFAULT_TUNING,
    ) -> None:
        options = _options(threads, placement)
        tuning.apply(options)
        self._profiles = start_profiling(options) if is_profiling() else None
        self._session = _session(model, options, placement)
        with parsing(lambda reason: DamagedError(_cannot_load(model, reason))):
            self.fallback_nodes = _fallback_nodes(self._session, placement)
            self.inputs = tuple(_spec(arg) for arg in self._session.get_inputs())
            self.outputs = tuple(_spec(arg) for arg in self._session.get_outputs())
        self._names = [spec.name for spec in self.outputs]

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See :class:`edgevit.inference.runner.Runner`.

        Raises:
            InputError: the feeds do not fit. BundleError: a node failed.
        """
        check_feeds(feeds, self.inputs)
        with parsing(
            lambda reason: BundleError(
                f"ONNX Runtime loaded the model, but failed to run it: {reason}. Export it again."
            )
        ):
            results = self._session.run(self._names, dict(feeds))
        return dict(zip(self._names, results, strict=True))

    def layer_times(self) -> list[LayerTime]:
        return read_profile(Path(self._session.end_profiling()))

    def close(self) -> None:
        """Frees the session's memory."""
        self._session = None
        if self._profiles is not None:
            self._profiles.cleanup()

    def __enter__(self) -> OnnxRuntimeRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def compile_onnxruntime(model: Path, placement: Placement = ON_CPU) -> Built:
    """The graph as ONNX Runtime's optimiser leaves it for this machine.

    The TensorRT provider builds its engines when a model is opened, and nothing of that can be
    written down: its artefact is the model itself.

    Raises:
        InputError: there is no room for it in the folder of temporary files.
        others as :class:`OnnxRuntimeRunner` does.
    """
    with TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        session = (
            _session(model, _options(1, placement), placement)
            if placement.provider == "tensorrt"
            else _writing_session(model, placement, optimised)
        )
        fallback_nodes = _fallback_nodes(session, placement)
        content = (optimised if optimised.is_file() else model).read_bytes()
    return Built(content, {"fallback_nodes": list(fallback_nodes)})


def _writing_session(model: Path, placement: Placement, optimised: Path) -> ort.InferenceSession:
    """A session that wrote its optimised graph; ONNX Runtime blames the model for a full disk."""
    options = _options(1, placement)
    options.optimized_model_filepath = str(optimised)
    try:
        return _session(model, options, placement)
    except BundleError as error:
        _session(model, _options(1, placement), placement)  # raises if it is the model after all
        reason = reason_of(error.__cause__ or error)
        raise InputError(
            f"ONNX Runtime cannot write the optimised model into {optimised.parent.parent}: "
            f"{reason}. Make room there, or set TMPDIR to another folder."
        ) from error


def _options(threads: int, placement: Placement) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if placement != ON_CPU:
        options.add_session_config_entry(_RECORD, "1")
        if not placement.allow_fallback and not _can_list():
            options.add_session_config_entry(_REFUSE_CPU, "1")
    return options


def _can_list() -> bool:
    return hasattr(ort.InferenceSession, "get_provider_graph_assignment_info")


def _session(
    model: Path | bytes, options: ort.SessionOptions, placement: Placement
) -> ort.InferenceSession:
    refuse_absent(placement)
    source = model if isinstance(model, bytes) else native_name(model) or model.read_bytes()
    try:
        # enable_fallback: else its Python side retries on the processor, and prints about it.
        session = ort.InferenceSession(
            source, options, providers=placement.order, enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's errors share no public base class
        if placement.provider == "tensorrt" and "TensorRT libraries" in str(error):
            raise _cannot_start(placement) from error
        hint = " Add --allow-fallback to run them there." if "fallback" in str(error) else ""
        unreadable = placement == ON_CPU or type(error).__name__ in _UNREADABLE
        kind = DamagedError if unreadable else BundleError
        raise kind(_cannot_load(model, f"{error}{hint}")) from error
    if placement.wanted not in session.get_providers():
        raise _cannot_start(placement)
    return session


def _cannot_load(model: Path | bytes, reason: str) -> str:
    name = "the exported model" if isinstance(model, bytes) else str(model)
    return f"ONNX Runtime cannot load {name}: {reason}"


def _cannot_start(placement: Placement) -> InputError:
    return InputError(
        f"ONNX Runtime has {placement.wanted}, but it cannot start here: no GPU, no driver, or not "
        "the version of CUDA or TensorRT that it was built for. Mend that, or use --provider cpu."
    )


def refuse_absent(placement: Placement) -> None:
    """Raises InputError if this ONNX Runtime was built without the provider."""
    available = ort.get_available_providers()
    if placement.wanted not in available:
        raise InputError(
            f"This ONNX Runtime has no {placement.wanted}; it has {', '.join(available)}. Install "
            "one that does (on a Jetson: NVIDIA's wheel for its JetPack): "
            f"{uninstall('onnxruntime')} && {pip_install()} onnxruntime-gpu"
        )


def _fallback_nodes(session: ort.InferenceSession, placement: Placement) -> tuple[str, ...]:
    """``name (Op) on Provider`` for every node that the wanted provider did not take.

    Raises:
        CheckFailedError: there are some, and there may be none.
    """
    if placement.wanted == PROVIDERS["cpu"] or not _can_list():
        return ()  # without a list, ONNX Runtime itself refused to fall back
    fallback_nodes = tuple(
        f"{node.name} ({node.op_type}) on {part.ep_name}"
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name != placement.wanted
        for node in part.get_nodes()
    )
    if fallback_nodes and not placement.allow_fallback:
        raise CheckFailedError(
            f"{len(fallback_nodes)} nodes are not taken by {placement.wanted}: "
            f"{some_of(fallback_nodes)}. Add --allow-fallback to run them there."
        )
    return fallback_nodes


def _spec(arg: ort.NodeArg) -> TensorSpec:
    shape = tuple(d if isinstance(d, int) else str(d) for d in arg.shape)
    return TensorSpec(arg.name, _DTYPES.get(arg.type, arg.type), shape)

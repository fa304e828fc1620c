"""OpenVINO behind the Runner protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.common.errors import BundleError, DamagedError, InputError, MissingExtraError
from edgevit.common.telemetry import import_quietly
from edgevit.common.untrusted.bounded import native_name
from edgevit.common.untrusted.parsers import parsing
from edgevit.inference.runner import Array, LayerTime, check_feeds, is_profiling
from edgevit.zoo.interface.tensors import TensorSpec
from edgevit_runtimes.backends.openvino_cache import Compiling, compiled_model
from edgevit_runtimes.backends.openvino_profile import OpenVinoProfile

_DYNAMIC = "batch"


class OpenVinoRunner:
    """A compiled model on the CPU.

    The file must have its local functions inlined: OpenVINO knows none. Precision is said aloud,
    because OpenVINO's own default on many processors is bfloat16, which moves a tenth to a quarter
    of the pixels to other superpixels.

    Args:
        model: an ONNX file, or its bytes.
        threads: threads of an inference.
        precision: of what the file leaves in float: ``f32`` or ``bf16``.
        keep_compiled: keep the compiled model of a file, to start faster the next time.
        keep_float32: a tensor that is computed in float32, with everything before it, whatever
            the precision of the rest: two compiled models that run one after the other.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        DamagedError: OpenVINO cannot take the model.
        InputError: the processor does not compute in this precision.
    """

    def __init__(
        self,
        model: Path | bytes,
        threads: int = 1,
        precision: str = "f32",
        keep_compiled: bool = False,
        keep_float32: str | None = None,
    ) -> None:
        if find_spec("openvino") is None:
            raise MissingExtraError("this variant", "openvino", "openvino")
        openvino = import_quietly("openvino")
        core = openvino.Core()
        _refuse_precision(core, precision)
        options: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "PERF_COUNT": is_profiling(),
        }
        precisions = [precision] if keep_float32 is None else ["f32", precision]
        wanted = [{**options, "INFERENCE_PRECISION_HINT": kind} for kind in precisions]
        cached = model if keep_compiled and isinstance(model, Path) else None
        parts = cache(lambda: _parts(core, model, keep_float32))
        name = "the model" if isinstance(model, bytes) else str(model)
        with parsing(
            lambda reason: DamagedError(f"OpenVINO cannot load {name}: {reason}"), _reason
        ):
            compiled = [
                compiled_model(
                    Compiling(core, cached, f"{place} of {keep_float32}", option),
                    _compiler(core, parts, place, option),
                )
                for place, option in enumerate(wanted)
            ]
            self.inputs = tuple(_spec(port) for port in compiled[0].inputs)
            self.outputs = tuple(_spec(port) for port in compiled[-1].outputs)
            self._requests: list[Any] = [part.create_infer_request() for part in compiled]
        self._between = keep_float32
        self._profile = OpenVinoProfile(self._requests) if is_profiling() else None

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See :class:`edgevit.inference.runner.Runner`.

        Raises:
            InputError: the feeds do not fit. BundleError: a node failed.
        """
        check_feeds(feeds, self.inputs)
        given = dict(feeds)
        with parsing(
            lambda reason: BundleError(
                f"OpenVINO loaded the model, but failed to run it: {reason}. Compile it again."
            ),
            _reason,
        ):
            for request in self._requests[:-1]:
                given[str(self._between)] = request.infer(given)[0]
            results = self._requests[-1].infer(given)
        if self._profile is not None:
            self._profile.note()
        return {spec.name: np.array(results[place]) for place, spec in enumerate(self.outputs)}

    def layer_times(self) -> list[LayerTime]:
        return self._profile.layer_times() if self._profile is not None else []

    def close(self) -> None:
        """Frees the compiled model."""
        self._requests = []

    def __enter__(self) -> OpenVinoRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _compiler(
    core: Any, parts: Callable[[], list[Any]], place: int, options: dict[str, Any]
) -> Callable[[], Any]:
    """Compiles one of the models that run one after the other; the file is read by then."""
    return lambda: core.compile_model(parts()[place], "CPU", options)


def _refuse_precision(core: Any, precision: str) -> None:
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in able:
        raise InputError(
            "This processor does not compute in bfloat16 (it takes avx512_bf16 or amx_bf16). "
            "Use the precision fp32 or int8."
        )


def _parts(core: Any, model: Path | bytes, keep_float32: str | None) -> list[Any]:
    """The model, or (what computes a tensor, what goes on from it)."""
    source = model if isinstance(model, bytes) else native_name(model) or model.read_bytes()
    if keep_float32 is None:
        return [core.read_model(source)]
    openvino = import_quietly("openvino")
    opset8 = import_quietly("openvino.opset8")

    whole, rest = core.read_model(source), core.read_model(source)
    first = openvino.Model([_tensor(whole, keep_float32)], whole.get_parameters())
    given = _tensor(rest, keep_float32)
    stand_in = opset8.parameter(given.get_partial_shape(), given.get_element_type(), keep_float32)
    given.replace(stand_in.output(0))
    stand_in.output(0).set_names({keep_float32})
    return [first, openvino.Model(rest.get_results(), [*rest.get_parameters(), stand_in])]


def _tensor(model: Any, name: str) -> Any:
    for operation in model.get_ordered_ops():
        for output in operation.outputs():
            if name in output.get_names():
                return output
    raise DamagedError(f"The model has no tensor '{name}' to keep in float32. Compile it again.")


def _spec(port: Any) -> TensorSpec:
    shape = tuple(
        _DYNAMIC if dimension.is_dynamic else dimension.get_length()
        for dimension in port.partial_shape
    )
    return TensorSpec(port.any_name, np.dtype(port.element_type.to_dtype()).name, shape)


def _reason(error: BaseException) -> str:
    """What OpenVINO says of unknown ops, or its last line: the others name its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    refused = [line.removeprefix("-- ") for line in lines if "operations:" in line]
    return (refused or lines or [type(error).__name__])[-1]

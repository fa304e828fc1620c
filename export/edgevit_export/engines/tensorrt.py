"""TensorRT engines: one path for ``tensorrt`` (10.3 to 11.x) and ``tensorrt_rtx``.

TensorRT proper builds for the GPU that is there. TensorRT-RTX builds for a named compute
capability on a machine without a GPU; it has none for Orin (8.7), nor for H100 and H200 (9.0).

Types are those of the graph: typed FP16, explicit Q/DQ, no calibrator and no precision flag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgevit.bundle.compiled import Built
from edgevit.common.errors import CheckFailedError, InputError
from edgevit.common.progress import Advance, Progress, SilentProgress
from edgevit.common.storage.cache import writable_cache
from edgevit.common.storage.files import write_atomically
from edgevit.common.tensorrt_library import RTX, TensorRT, find_tensorrt
from edgevit.common.untrusted.native_output import native_output_on_stderr
from edgevit_export.engines.inline import inlined

# Compute capabilities that TensorRT-RTX builds for ahead of time, and what they are called there.
AHEAD_OF_TIME = {"8.0": "SM80", "8.6": "SM86", "8.9": "SM89", "12.0": "SM120"}
_NO_FLOAT_PRODUCTS = "7.5"
_MOST_ERRORS = 3


@dataclass(frozen=True)
class BatchRange:
    """The optimisation profile of a dynamic batch: it takes ``low`` to ``high``, tuned for one."""

    low: int = 1
    tuned: int = 1
    high: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.tuned <= self.high:
            raise InputError(f"--batch is LOW:TUNED:HIGH, in rising order from 1; got {self}.")

    def __str__(self) -> str:
        return f"{self.low}:{self.tuned}:{self.high}"

    @classmethod
    def parse(cls, text: str) -> BatchRange:
        """``1:1:8``, or one number for all three."""
        parts = text.split(":")
        if not all(part.isascii() and part.isdecimal() for part in parts) or len(parts) not in (
            1,
            3,
        ):
            raise InputError(f"--batch is LOW:TUNED:HIGH, such as 1:1:8, or a number; got '{text}'")
        numbers = [int(part) for part in parts]
        return cls(*numbers) if len(numbers) == 3 else cls(*numbers * 3)


@dataclass(frozen=True)
class EngineOptions:
    """capability: such as ``8.6``, to build ahead of time for; None: for the GPU that is here."""

    capability: str | None = None
    batch: BatchRange = field(default_factory=BatchRange)


@dataclass(frozen=True)
class Engine:
    """content: the serialized engine. inlined: the parser wanted the graph without functions.

    layers: the engine inspector's JSON; None where it cannot be had, and ``no_layers`` says why.
    """

    content: bytes
    inlined: bool
    layers: str | None
    no_layers: str | None


def tensorrt_for(capability: str | None) -> TensorRT:
    """The flavour for the job: only TensorRT-RTX builds ahead of time.

    Raises:
        MissingExtraError, InputError: it is not installed, or the capability is none of its own.
    """
    if capability is None:
        return find_tensorrt()
    _refuse_capability(capability)
    return find_tensorrt(RTX)


def _refuse_capability(capability: str) -> None:
    if capability == _NO_FLOAT_PRODUCTS:
        raise InputError(
            "TensorRT-RTX refuses float32 matrix products for compute capability 7.5, and the "
            "superpixels need them: their distances do not fit float16. It builds for "
            f"{', '.join(AHEAD_OF_TIME)}."
        )
    if capability not in AHEAD_OF_TIME:
        raise InputError(
            f"TensorRT-RTX does not build for compute capability {capability} ahead of time; it "
            f"does for {', '.join(AHEAD_OF_TIME)}. An Orin (8.7), H100 or H200 (9.0) builds its "
            "own engine: run edgevit compile there, without --capability."
        )


def build_engine(
    model: bytes,
    options: EngineOptions,
    tensorrt: TensorRT | None = None,
    progress: Progress | None = None,
) -> Engine:
    """Parses an ONNX model and builds an engine.

    Args:
        tensorrt: the flavour to use; by default the installed one that fits.

    Raises:
        InputError: the capability is not one that can be built for, or there is no GPU to build
            for.
        CheckFailedError: TensorRT cannot take the model; the nodes are named.
    """
    job = _Job.start(tensorrt or tensorrt_for(options.capability))
    with native_output_on_stderr():  # the parser's warnings of casts, past its log
        parser, network, was_inlined = job.parse(model)
        content = job.serialized(network, options, progress or SilentProgress())
        del parser  # it holds the network's weights until here
        layers, no_layers = job.inspected(content, options.capability)
    return Engine(content, was_inlined, layers, no_layers)


def compile_tensorrt(model: bytes, options: EngineOptions, progress: Progress) -> Built:
    """An engine, and what its build is remembered by; see :func:`build_engine`."""
    engine = build_engine(model, options, progress=progress)
    facts = {"inlined": engine.inlined, "inspection": engine.no_layers or "see the file"}
    return Built(engine.content, facts, engine.layers)


@dataclass(frozen=True)
class _Job:
    """One flavour, its builder, and the log of both."""

    tensorrt: TensorRT
    builder: Any
    log: Any

    @classmethod
    def start(cls, tensorrt: TensorRT) -> _Job:
        log = tensorrt.collecting_log()
        builder = tensorrt.module.Builder(log)
        if builder is None:
            raise CheckFailedError(f"{tensorrt.label} has no builder here: {log.told()}")
        return cls(tensorrt, builder, log)

    def parse(self, model: bytes) -> tuple[Any, Any, bool]:
        """(parser, network, whether it took the graph only without local functions)."""
        parser, network, errors = self._try_to_parse(model)
        if not errors:
            return parser, network, False
        plain = inlined(model) if find_spec("onnx") else model
        if plain != model:
            parser, network, errors = self._try_to_parse(plain)
        if errors:
            told = "; ".join(map(_told, errors[:_MOST_ERRORS]))
            raise CheckFailedError(f"{self.tensorrt.label} cannot take this model: {told}")
        return parser, network, True

    def _try_to_parse(self, model: bytes) -> tuple[Any, Any, Sequence[Any]]:
        trt = self.tensorrt.module
        network = self.builder.create_network(_network_flags(trt))
        parser = trt.OnnxParser(network, self.log)
        if parser.parse(model):
            return parser, network, ()
        return parser, network, [parser.get_error(i) for i in range(parser.num_errors)]

    def serialized(self, network: Any, options: EngineOptions, progress: Progress) -> bytes:
        config = self._config(network, options)
        timings = None if options.capability else _timing_cache(self.tensorrt)
        with (
            _timed_with(config, timings),
            _watched(self.tensorrt.module, config, progress) as stopped,
        ):
            engine = self.builder.build_serialized_network(network, config)
        if stopped:
            raise stopped[0]
        if engine is None:
            raise CheckFailedError(
                f"{self.tensorrt.label} parsed the model but could not build an engine for "
                f"{options.capability or 'this GPU'}: {self.log.told()}"
            )
        return bytes(engine)

    def _config(self, network: Any, options: EngineOptions) -> Any:
        trt = self.tensorrt.module
        config = self.builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if self.tensorrt.is_rtx:  # else it builds for every GPU that it knows
            name = AHEAD_OF_TIME[options.capability] if options.capability else "CURRENT"
            config.num_compute_capabilities = 1
            config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
        _add_profile(self.builder, network, config, options.batch)
        return config

    def inspected(self, content: bytes, capability: str | None) -> tuple[str | None, str | None]:
        """(layers as JSON, None), or (None, why not)."""
        if capability is not None:
            return None, "built ahead of time: an inspector needs the GPU that it was built for"
        trt = self.tensorrt.module
        engine = trt.Runtime(self.log).deserialize_cuda_engine(content)
        if engine is None:
            return None, f"the engine could not be loaded again: {self.log.told()}"
        inspector = engine.create_engine_inspector()
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON)), None


def _told(error: Any) -> str:
    """``layer (Op): what is wrong``."""
    node = error.node_name() or f"node {error.node()}"
    return f"{node} ({error.node_operator()}): {error.desc()}"


def _network_flags(trt: Any) -> int:
    """Types are those of the graph: no precision is chosen behind our back."""
    flags = trt.NetworkDefinitionCreationFlag
    strongly_typed = getattr(flags, "STRONGLY_TYPED", None)  # the only kind in later versions
    return 0 if strongly_typed is None else 1 << int(strongly_typed)


def _add_profile(builder: Any, network: Any, config: Any, batch: BatchRange) -> None:
    picture = network.get_input(0)
    shape = tuple(picture.shape)
    if shape[0] != -1:
        return
    profile = builder.create_optimization_profile()
    profile.set_shape(
        picture.name, *((n, *shape[1:]) for n in (batch.low, batch.tuned, batch.high))
    )
    config.add_optimization_profile(profile)


# Progress ----------------------------------------------------------------------------------------


@contextmanager
def _watched(trt: Any, config: Any, progress: Progress) -> Iterator[list[BaseException]]:
    """Shows how far the builder is. Yields what interrupted it: an exception must not pass through
    the builder's own code, so the builder is told to stop, and the caller raises it.
    """
    stopped: list[BaseException] = []
    config.progress_monitor = _monitor(trt, progress, stopped)
    yield stopped


class _Bars:
    """A bar for every outermost phase of a build."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.open: dict[str, tuple[ExitStack, Advance]] = {}

    def start(self, name: str, steps: int) -> None:
        stack = ExitStack()
        self.open[name] = stack, stack.enter_context(self.progress.bar(name, steps))

    def step(self, name: str) -> None:
        if name in self.open:
            self.open[name][1]()

    def finish(self, name: str) -> None:
        if name in self.open:
            self.open.pop(name)[0].close()


def _monitor(trt: Any, progress: Progress, stopped: list[BaseException]) -> Any:
    bars = _Bars(progress)

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            if parent is None:
                bars.start(name, steps)

        def step_complete(self, name: str, step: int) -> bool:
            del step
            try:
                bars.step(name)
            except BaseException as error:  # Ctrl-C among them
                stopped.append(error)
            return not stopped

        def phase_finish(self, name: str) -> None:
            bars.finish(name)

    return Monitor()


# Timing cache ------------------------------------------------------------------------------------


def _timing_cache(tensorrt: TensorRT) -> Path | None:
    """Where the timings of kernels are kept for the next build. TensorRT itself checks whether
    they were taken on this kind of GPU; TensorRT-RTX takes none when it builds."""
    if tensorrt.is_rtx:
        return None
    version = hashlib.sha256(tensorrt.label.encode()).hexdigest()[:12]
    folder = writable_cache("tensorrt")
    return folder and folder / f"timings-{version}.cache"


@contextmanager
def _timed_with(config: Any, file: Path | None) -> Iterator[None]:
    if file is None:
        yield
        return
    known = file.read_bytes() if file.is_file() else b""
    cache = config.create_timing_cache(known)
    if not config.set_timing_cache(cache, ignore_mismatch=False):  # of another GPU: begin anew
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    yield
    content = bytes(config.get_timing_cache().serialize())
    with suppress(InputError):  # a full disk costs the next build some time, not this engine
        write_atomically(file, lambda aside: aside.write_bytes(content))

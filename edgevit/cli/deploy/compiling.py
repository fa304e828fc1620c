"""What ``edgevit compile`` joins: compilers of the export side, runners and facts of the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit.cli.options import require_modules
from edgevit.common.errors import BundleError, CheckFailedError, EdgevitError, InputError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle, MachineChoice
    from edgevit.bundle.compiled import Built, Outcome, Wanted
    from edgevit.common.progress import Progress
    from edgevit.inference.agreement import EvalSet


class Target(str, Enum):
    """A runtime, or the best of them."""

    tensorrt = "tensorrt"
    onnxruntime = "onnxruntime"
    openvino = "openvino"
    auto = "auto"


class Precision(str, Enum):
    """What a model computes in; ``bf16`` is for OpenVINO, ``fp16`` for GPUs."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


class Provider(str, Enum):
    """What runs ONNX Runtime's nodes."""

    cpu = "cpu"
    cuda = "cuda"
    tensorrt = "tensorrt"


@dataclass(frozen=True)
class Request:
    """One variant that is to be compiled."""

    target: Target
    precision: Precision = Precision.fp32
    capability: str | None = None
    provider: Provider = Provider.cpu
    allow_fallback: bool = False
    batch: str | None = None
    cuda_graph: bool = True

    @property
    def name(self) -> str:
        """Of the variant: ``tensorrt-fp16-sm86``, ``onnxruntime-cuda-fp16``, ``openvino-int8``."""
        middle = "" if self.provider is Provider.cpu else f"-{self.provider.value}"
        end = f"-sm{self.capability.replace('.', '')}" if self.capability else ""
        return f"{self.target.value}{middle}-{self.precision.value}{end}"


@dataclass(frozen=True)
class Work:
    """How it is gone about. force: compile even what is fresh. threads: of the measurements."""

    evaluation: EvalSet
    force: bool
    threads: int
    progress: Progress


# One variant -------------------------------------------------------------------------------------


def compile_variant(bundle: Bundle, request: Request, work: Work) -> tuple[Bundle, Outcome]:
    """Compiles what is not fresh; what does not agree with the float reference is not kept."""
    from edgevit.bundle.bundle import drop_variants
    from edgevit.bundle.compiled import ensure
    from edgevit.common.progress import stage
    from edgevit_runtimes.selection.agreement import agreement, require_variant

    wanted, compile_it = _PLANS[request.target](bundle, request, work.progress)
    with stage(work.progress, f"compile   {wanted.name}"):
        bundle, outcome = ensure(bundle, wanted, compile_it, work.force)
    if outcome.was_kept or request.capability is not None:
        return bundle, outcome  # ahead of time: there is no GPU of that capability to ask
    try:
        found = agreement(bundle, wanted.name, work.evaluation)
        require_variant(found, wanted.name)
    except EdgevitError:
        drop_variants(bundle, {wanted.name})
        raise
    return _with_facts(bundle, wanted.name, {"agreement": found.logits_dict()}), outcome


def _with_facts(bundle: Bundle, name: str, facts: dict[str, Any]) -> Bundle:
    from edgevit.bundle.bundle import write_manifest

    variant = bundle.manifest.variants[name]
    if variant.build is None:
        raise RuntimeError(f"{name} was not compiled")
    build = replace(variant.build, facts={**variant.build.facts, **facts})
    variants = {**bundle.manifest.variants, name: replace(variant, build=build)}
    return write_manifest(bundle, replace(bundle.manifest, variants=variants))


def _plan_tensorrt(
    bundle: Bundle, request: Request, progress: Progress
) -> tuple[Wanted, Callable[[Path], Built]]:
    from edgevit.bundle.compiled import Wanted, source_of
    from edgevit_export.engines.tensorrt import (
        BatchRange,
        EngineOptions,
        compile_tensorrt,
        tensorrt_for,
    )
    from edgevit_runtimes.devices.facts import Compiling, built_for

    tensorrt_for(request.capability)  # an unknown capability is said before a missing GPU
    batch = BatchRange.parse(request.batch) if request.batch else BatchRange()
    options: dict[str, Any] = {"cuda_graph": request.cuda_graph}
    fixed = bundle.manifest.inputs[0].shape[0]
    if not isinstance(fixed, int):
        options["batch"] = str(batch)
    elif request.batch and request.batch != str(fixed):
        raise InputError(
            f"{bundle.path} was exported for batch {fixed}; got --batch {request.batch}. Export "
            "it with --dynamic-batch."
        )
    wanted = Wanted(
        request.name,
        source_of(bundle, "tensorrt", request.precision.value),
        "tensorrt",
        request.precision.value,
        "engine",
        built_for("tensorrt", Compiling(request.capability)),
        options,
    )
    engine = EngineOptions(request.capability, batch)
    return wanted, lambda source: compile_tensorrt(source.read_bytes(), engine, progress)


def _plan_onnxruntime(
    bundle: Bundle, request: Request, progress: Progress
) -> tuple[Wanted, Callable[[Path], Built]]:
    from edgevit.bundle.compiled import Wanted, source_of
    from edgevit_export.engines.inline import refused_layers
    from edgevit_runtimes.backends.onnxruntime_runner import (
        Placement,
        compile_onnxruntime,
        refuse_absent,
    )
    from edgevit_runtimes.devices.facts import Compiling, built_for
    from edgevit_runtimes.devices.target import this_target

    del progress  # it takes a moment
    placement = Placement(request.provider.value, request.allow_fallback)
    refuse_absent(placement)
    wanted = Wanted(
        request.name,
        source_of(bundle, "onnxruntime", request.precision.value, this_target()),
        "onnxruntime",
        request.precision.value,
        "onnx",
        built_for("onnxruntime", Compiling(provider=request.provider.value)),
        {"provider": request.provider.value, "allow_fallback": request.allow_fallback},
    )

    def compile_it(source: Path) -> Built:
        try:
            return compile_onnxruntime(source, placement)
        except BundleError as error:
            layers = refused_layers(str(error), source.read_bytes())
            raise CheckFailedError(f"{error}.{layers}") from error

    return wanted, compile_it


def _plan_openvino(
    bundle: Bundle, request: Request, progress: Progress
) -> tuple[Wanted, Callable[[Path], Built]]:
    from functools import partial

    from edgevit.bundle.compiled import Wanted, source_of
    from edgevit_export.engines.openvino import compile_openvino, openvino_options
    from edgevit_runtimes.backends.openvino_runner import OpenVinoRunner

    del progress  # it takes a moment
    require_modules("--target openvino", "openvino", ("openvino",))
    has_superpixels = bundle.manifest.superpixel_map is not None
    options = openvino_options(request.precision.value, has_superpixels)
    wanted = Wanted(
        request.name,
        source_of(bundle, "openvino", request.precision.value),
        "openvino",
        request.precision.value,
        "onnx",
        {},
        options,
    )
    keep = options.get("keep_float32")
    runner = partial(OpenVinoRunner, precision=options["precision"], keep_float32=keep)
    return wanted, lambda source: compile_openvino(source.read_bytes(), runner)


_PLANS: dict[Target, Callable[[Bundle, Request, Progress], Any]] = {
    Target.tensorrt: _plan_tensorrt,
    Target.onnxruntime: _plan_onnxruntime,
    Target.openvino: _plan_openvino,
}


# The fastest -------------------------------------------------------------------------------------


def candidates() -> Iterator[Request]:
    """All that some machine may run; what this one cannot says why when it is tried."""
    for precision in (Precision.fp32, Precision.int8):
        yield Request(Target.onnxruntime, precision)
    for precision in (Precision.fp32, Precision.bf16, Precision.int8):
        yield Request(Target.openvino, precision)
    for precision in (Precision.fp32, Precision.fp16, Precision.int8):
        yield Request(Target.tensorrt, precision)
    for precision in (Precision.fp32, Precision.fp16):
        yield Request(Target.onnxruntime, precision, provider=Provider.cuda)


def compile_fastest(
    bundle: Bundle, requests: Iterable[Request], work: Work, keep_all: bool
) -> tuple[Bundle, MachineChoice]:
    """Compiles what can be, checks and measures it, and keeps the best.

    Args:
        keep_all: keep the others too.
    """
    from edgevit.bundle.bundle import Bundle, drop_variants
    from edgevit_runtimes.selection.choose import Candidates, choose_fastest

    names, unavailable = [], {}
    before = set(bundle.manifest.variants)
    for request in requests:
        try:
            bundle, outcome = compile_variant(bundle, request, work)
            names.append(outcome.name)
        except EdgevitError as error:
            unavailable[request.name] = str(error)
            bundle = Bundle.open(bundle.path)  # what did not agree is gone again
    offered = Candidates(names, unavailable)
    bundle, choice = choose_fastest(bundle, offered, work.evaluation, work.threads, work.progress)
    losers = set(names) - before - {choice.variant}
    if losers and not keep_all:
        bundle = drop_variants(bundle, losers)
    return bundle, choice

"""What a runtime loads fastest on this machine, and which variant is the fastest that is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from edgevit.bundle.bundle import Bundle, MachineChoice
from edgevit.bundle.compiled import MissingFormError, Outcome, Plan, ensure, reasons_to_build
from edgevit.bundle.edit import edit
from edgevit.common.errors import EdgevitError, InputError
from edgevit.common.progress import Progress, SilentProgress, stage
from edgevit.common.result import PlannedWork, Result
from edgevit.common.schema import to_plain
from edgevit.common.tables import Section, Table
from edgevit.workflows.targets.compile_request import CompileRequest, Precision, Provider, Target
from edgevit.workflows.targets.native_target import plan_native
from edgevit.workflows.targets.needed_form import missing_images, with_needed_form
from edgevit.workflows.targets.onnxruntime_target import plan_onnxruntime
from edgevit.workflows.targets.openvino_target import plan_openvino
from edgevit.workflows.targets.tensorrt_target import plan_tensorrt
from edgevit.workflows.trial.trial_opening import try_untrusted

if TYPE_CHECKING:
    from edgevit.inference.agreement import EvalSet


_PLANS: dict[Target, Callable[[Bundle, CompileRequest, Progress], Plan]] = {
    Target.tensorrt: plan_tensorrt,
    Target.onnxruntime: plan_onnxruntime,
    Target.openvino: plan_openvino,
    Target.native: plan_native,
}


@dataclass(frozen=True)
class CompileResult(Result):
    """The bundle with the variant. outcome: its name, and why it was compiled or kept."""

    bundle: Bundle
    outcome: Outcome

    @property
    def variant(self) -> str:
        return self.outcome.name

    def to_dict(self) -> dict[str, Any]:
        variant = self.bundle.manifest.variants[self.variant]
        return {
            "bundle": str(self.bundle.path),
            "variant": self.variant,
            "bytes": self._bytes,
            "reasons": list(self.outcome.reasons),
            **to_plain(variant),
        }

    def sections(self) -> list[Section]:
        variant = self.bundle.manifest.variants[self.variant]
        build = variant.build
        facts: Mapping[str, Any] = build.facts if build else {}
        rows = [
            ("file", f"{variant.file}, {self._bytes / 2**20:.1f} MiB"),
            ("from", build.source if build else "-"),
            ("opens on", _listed(build.built_for, "any machine") if build else "-"),
            ("options", _listed(build.options, "none") if build else "-"),
            ("compiled", f"in {facts.get('seconds', 0):g} s"),
            ("agreement", _agreement(facts.get("agreement"))),
        ]
        reasons = "; ".join(self.outcome.reasons)
        last = f"compiled: {reasons}" if reasons else "kept: nothing it depends on has changed"
        return [Table(f"{self.bundle.path}: {self.variant}", ("", ""), rows), last]

    @property
    def _bytes(self) -> int:
        manifest = self.bundle.manifest
        return manifest.files[manifest.variants[self.variant].file].bytes


@dataclass(frozen=True)
class SelectionResult(Result):
    """The bundle, and what was measured to be the fastest right variant on this machine."""

    bundle: Bundle
    choice: MachineChoice

    @property
    def variant(self) -> str:
        return self.choice.variant

    def to_dict(self) -> dict[str, Any]:
        return {"bundle": str(self.bundle.path), **to_plain(self.choice)}

    def sections(self) -> list[Section]:
        table = self.choice.table
        columns = ("variant", "ms", "x plain fp32", "top-1 agrees", "verdict")
        title = f"{self.bundle.path}, {self.choice.threads} threads"
        reasons = dict.fromkeys(r for row in table for r in row.get("disturbances", []))
        return [
            Table(title, columns, [_row(row) for row in table], numeric=columns[1:3]),
            f"chosen for this machine: {self.choice.variant}",
            *(f"DISTURBED: {reason}. Choose again on an idle machine." for reason in reasons),
        ]


@dataclass(frozen=True)
class _Work:
    """How it is gone about. force: compile even what is fresh. threads: of the measurements."""

    evaluation: EvalSet
    force: bool
    threads: int
    progress: Progress


def compile_bundle(
    bundle: Bundle,
    target: Target | str = Target.auto,
    *,
    precision: Precision | str | None = None,
    capability: str | None = None,
    batch: str | None = None,
    cuda_graph: bool = True,
    provider: Provider | str = Provider.cpu,
    allow_fallback: bool = False,
    images: Path | str | None = None,
    data: Path | str | None = None,
    keep_all: bool = False,
    force: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> CompileResult | SelectionResult:
    """Compiles a bundle for a runtime, or finds the fastest right variant on this machine.

    A variant that does not answer as the float reference does is not kept.

    Args:
        target: ``onnxruntime``, ``openvino``, ``tensorrt``, ``native`` (edgevit's own engine), or
            ``auto`` to try them all, measure them side by side and keep the fastest.
        precision: ``fp32`` (the default), ``fp16``, ``bf16`` or ``int8``; with ``auto`` all.
        capability: TensorRT: build ahead of time for this compute capability, such as ``8.6``.
        batch: TensorRT, for a dynamic batch: ``LOW:TUNED:HIGH``.
        cuda_graph: TensorRT: replay the engine as a CUDA graph.
        provider: ONNX Runtime: ``cpu``, ``cuda`` or ``tensorrt``.
        allow_fallback: ONNX Runtime: nodes that the provider does not take run on the processor.
        data: labelled pictures, one folder a class, to calibrate INT8 on where the bundle has no
            form of it for the target yet. FP16 is made without.
        images: a picture or a folder of them to compare answers on; by default the bundle's own.
        keep_all: with ``auto``, keep the variants that were not chosen too.
        force: compile what is fresh again.
        threads: of the measurements.

    Raises:
        InputError: an option does not fit the target, or what it needs is not here.
        CheckFailedError: the variant does not answer as the float reference does, or a model of an
            untrusted bundle does not pass its trial.
    """
    request = CompileRequest(
        _member(Target, target, "--target"),
        _member(Precision, precision or Precision.fp32, "--precision"),
        capability,
        _member(Provider, provider, "--provider"),
        allow_fallback,
        batch,
        cuda_graph,
    )
    request.check()
    progress = progress or SilentProgress()
    try_untrusted(bundle, list(bundle.manifest.variants), progress)
    if data is not None and request.target is Target.auto:
        raise InputError("--data calibrates INT8 for one target; got --target auto. Name a target.")
    work = _Work(_eval_set(bundle, images), force, threads, progress)
    if request.target is not Target.auto:
        try:
            return CompileResult(*compile_variant(bundle, request, work))
        except MissingFormError:
            bundle = with_needed_form(bundle, request, data, threads, progress)
            return CompileResult(*compile_variant(bundle, request, work))
    wanted = [r for r in candidates() if precision is None or r.precision is request.precision]
    return SelectionResult(*compile_fastest(bundle, wanted, work, keep_all))


def plan_compilation(
    bundle: Bundle,
    target: Target | str = Target.auto,
    *,
    precision: Precision | str | None = None,
    capability: str | None = None,
    provider: Provider | str = Provider.cpu,
    data: Path | str | None = None,
    force: bool = False,
) -> PlannedWork:
    """What :func:`compile_bundle` would do with the same arguments.

    Raises:
        InputError: as :func:`compile_bundle`.
    """
    request = CompileRequest(
        _member(Target, target, "--target"),
        _member(Precision, precision or Precision.fp32, "--precision"),
        capability,
        _member(Provider, provider, "--provider"),
    )
    request.check()
    if request.target is Target.auto:
        names = [r.name for r in candidates() if precision in (None, r.precision.value)]
        done = "compile and measure what this machine can, and keep the fastest"
    else:
        names, done = [request.name], _planned(bundle, request, data, force)
    facts = {"bundle": str(bundle.path), "variants": ", ".join(names), "work": done}
    return PlannedWork("compile", facts)


def _planned(bundle: Bundle, request: CompileRequest, data: Path | str | None, force: bool) -> str:
    try:
        wanted, _ = _PLANS[request.target](bundle, request, SilentProgress())
    except MissingFormError:
        if request.precision is Precision.int8 and data is None:
            raise missing_images(bundle, request) from None
        return f"make the {request.precision.value} form that the bundle lacks, and compile it"
    reasons = reasons_to_build(bundle, wanted) or (("--force was given",) if force else ())
    return f"compile: {'; '.join(reasons)}" if reasons else "none: it is up to date"


_Member = TypeVar("_Member", bound=Enum)


def _member(kind: type[_Member], value: object, option: str) -> _Member:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise InputError(f"{option} is one of {known}; got '{value}'.") from None


def _eval_set(bundle: Bundle, images: Path | str | None) -> EvalSet:
    from edgevit_runtimes.selection.agreement import float_set, reference_set

    if images is None:
        return reference_set(bundle)
    from edgevit.images import image_io
    from edgevit.images.image_files import files_in

    path = Path(images)
    files = files_in(path) if path.is_dir() else [path]
    pictures = (image_io.read(file) for file in files)
    return float_set(bundle, image_io.batch(pictures, bundle.manifest.preprocess))


# One variant -------------------------------------------------------------------------------------


def compile_variant(bundle: Bundle, request: CompileRequest, work: _Work) -> tuple[Bundle, Outcome]:
    """Compiles what is not fresh; what does not agree with the float reference is not kept."""
    from edgevit_runtimes.selection.agreement import agreement, require_variant

    wanted, compile_it = _PLANS[request.target](bundle, request, work.progress)
    with stage(work.progress, f"compile {wanted.name}"):
        bundle, outcome = ensure(bundle, wanted, compile_it, work.force)
    if outcome.was_kept or request.capability is not None:
        return bundle, outcome  # ahead of time: there is no GPU of that capability to ask
    try:
        found = agreement(bundle, wanted.name, work.evaluation)
        require_variant(found, wanted.name)
    except EdgevitError:
        with edit(bundle) as draft:
            draft.drop([wanted.name])
        raise
    return _with_facts(bundle, wanted.name, {"agreement": found.answers_dict()}), outcome


def _with_facts(bundle: Bundle, name: str, facts: dict[str, Any]) -> Bundle:
    with edit(bundle) as draft:
        draft.require_same(bundle, [name])
        variant = draft.manifest.variants[name]
        if variant.build is None:
            raise RuntimeError(f"{name} was not compiled")
        build = replace(variant.build, facts={**variant.build.facts, **facts})
        draft.put(name, replace(variant, build=build))
    return draft.bundle


# The fastest -------------------------------------------------------------------------------------


def candidates() -> Iterator[CompileRequest]:
    """All that some machine may run; what this one cannot says why when it is tried."""
    for precision in (Precision.fp32, Precision.int8):
        yield CompileRequest(Target.onnxruntime, precision)
    for precision in (Precision.fp32, Precision.bf16, Precision.int8):
        yield CompileRequest(Target.openvino, precision)
    for precision in (Precision.fp32, Precision.int8):
        yield CompileRequest(Target.native, precision)
    for precision in (Precision.fp32, Precision.fp16, Precision.int8):
        yield CompileRequest(Target.tensorrt, precision)
    for precision in (Precision.fp32, Precision.fp16):
        yield CompileRequest(Target.onnxruntime, precision, provider=Provider.cuda)


def compile_fastest(
    bundle: Bundle, requests: Iterable[CompileRequest], work: _Work, keep_all: bool
) -> tuple[Bundle, MachineChoice]:
    """Compiles what can be, checks and measures it, and keeps the best.

    Args:
        keep_all: keep the others too.
    """
    from edgevit_runtimes.selection.choose import Candidates, choose_fastest

    names, unavailable = [], {}
    before = set(bundle.manifest.variants)
    for request in requests:
        try:
            bundle, outcome = compile_variant(bundle, request, work)
            names.append(outcome.name)
        except EdgevitError as error:
            bundle = Bundle.open(bundle.path)  # what did not agree is gone again
            if isinstance(error, MissingFormError) and request.name in before:
                names.append(request.name)  # it came without the form that it was compiled from
            else:
                unavailable[request.name] = str(error)
    offered = Candidates(names, unavailable)
    bundle, choice = choose_fastest(bundle, offered, work.evaluation, work.threads, work.progress)
    losers = set(names) - before - {choice.variant}
    if losers and not keep_all:
        with edit(bundle) as draft:
            draft.drop(losers)
        bundle = draft.bundle
    return bundle, choice


# What people read --------------------------------------------------------------------------------


def _listed(facts: Any, empty: str) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items()) or empty


def _agreement(found: Any) -> str:
    if found is None:
        return "not measured: it does not run on this machine"
    if "agreement" in found:
        return (
            f"{100 * found['agreement']:.3f} % of the answers of {found['images']} pictures agree"
        )
    return (
        f"top class agrees on {found['top1_agrees']} of {found['images']}, largest logit "
        f"difference {found['max_difference']:.2g}"
    )


def _agreeing(row: Any) -> str:
    if "agreement" in row:
        return f"{100 * row['agreement']:.2f} %"
    return f"{row['top1_agrees']} of {row['images']}"


def _first_sentence(text: str) -> str:
    """The table says what is wrong; --json also says how to mend it."""
    return text.partition(". ")[0]


def _row(row: Any) -> tuple[str, ...]:
    if "times_faster" not in row:
        return row["variant"], "-", "-", "-", f"not measured: {_first_sentence(row['reason'])}"
    verdict = "chosen" if row["chosen"] else row["reason"] or "passes"
    return (
        row["variant"],
        f"{row['latency_ms_p50']:.2f}",
        f"{row['times_faster']:.2f}",
        _agreeing(row),
        verdict,
    )

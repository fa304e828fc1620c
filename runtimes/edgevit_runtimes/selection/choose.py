"""Which variant is used on a machine: checked, measured, and written into the bundle.

Every variant that ``edgevit compile --target auto`` could build is held against the float model
(:func:`choose_fastest`); of the forms that ``edgevit quantize`` made for one target, one is kept
(:func:`choose_form`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from msgspec.structs import replace

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit
from edgevit.bundle.manifest import FLOAT_VARIANT, MachineChoice, Variant
from edgevit.common.errors import EdgevitError
from edgevit.common.progress import Progress, stage
from edgevit.inference.agreement import EvalSet
from edgevit_runtimes.bench import measure
from edgevit_runtimes.devices.facts import machine_label
from edgevit_runtimes.devices.target import this_target
from edgevit_runtimes.selection.agreement import agreement
from edgevit_runtimes.selection.verdict import LEAST_GAIN, Verdict, verdict_on

_HEAD_START = 1.1  # of a target's own form: it is calibrated, the others lose more accuracy
_FINAL_WITHIN = 0.9  # of the best: what comes so near is measured again
_MOST_FINALISTS = 3

Row = dict[str, Any]


@dataclass(frozen=True)
class Candidates:
    """variants: those that are in the bundle. unavailable: those that could not be had, and why."""

    variants: Sequence[str]
    unavailable: Mapping[str, str]


def choose_fastest(
    bundle: Bundle, candidates: Candidates, evaluation: EvalSet, threads: int, progress: Progress
) -> tuple[Bundle, MachineChoice]:
    """Checks the answers, measures, and writes what was found into the manifest.

    The float variant in ONNX Runtime is the baseline: it is always a candidate, and only what is
    clearly faster is chosen in its place.
    """
    names = list(dict.fromkeys([FLOAT_VARIANT, *candidates.variants]))
    rows = _agreements(bundle, names, evaluation, threads, progress)
    opened = [name for name in names if "holds" in rows[name]]
    with stage(progress, f"measure {len(opened)} variants in turn"):
        _add_times(rows, opened, measure.side_by_side(bundle, opened, threads))
    finalists = _finalists(rows, opened)
    if len(finalists) > 1:
        with stage(progress, f"measure the best {len(finalists)} again"):
            _add_times(rows, finalists, measure.side_by_side(bundle, finalists, threads))
    clear = [name for name in finalists if rows[name]["times_faster"] >= LEAST_GAIN]
    best = max(clear, key=lambda n: float(rows[n]["times_faster"]), default=FLOAT_VARIANT)
    for name in opened:
        rows[name]["chosen"] = name == best
    absent = ({"variant": name, "reason": why} for name, why in candidates.unavailable.items())
    table = [*rows.values(), *absent]
    choice = MachineChoice(
        variant=best,
        threads=threads,
        table=tuple(table),
        measured=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    with edit(bundle) as draft:
        draft.require_same(bundle, [best])
        draft.choose_on_machine(machine_label(), choice)
    return draft.bundle, choice


def _agreements(
    bundle: Bundle, names: Sequence[str], evaluation: EvalSet, threads: int, progress: Progress
) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    with progress.bar("compare answers with float", len(names)) as advance:
        for name in names:
            rows[name] = _accuracy(bundle, name, evaluation, threads)
            advance(1, name)
    return rows


def _accuracy(bundle: Bundle, name: str, evaluation: EvalSet, threads: int) -> Row:
    variant = bundle.manifest.variants[name]
    row: Row = {"variant": name, "runtime": variant.runtime, "precision": variant.precision}
    try:
        found = agreement(bundle, name, evaluation, threads)
    except EdgevitError as error:
        return {**row, "passes": False, "reason": str(error)}
    row |= {**found.answers_dict(), "reference": evaluation.reference}
    reason = _why_not(bundle, name, found.holds)
    return {**row, "passes": reason is None, "reason": reason}


def _why_not(bundle: Bundle, name: str, agrees: bool) -> str | None:
    """The pictures here are few; accuracy that quantize measured on labelled ones counts too."""
    measured = bundle.manifest.measured(name)
    report = measured.report if measured else {}
    if not agrees:
        return "it does not answer as the float reference"
    if report.get("holds") is False:
        return f"quantized, it loses more than {report['max_drop_points']} points of top-1"
    return None


def _add_times(rows: dict[str, Row], names: Sequence[str], measured: Mapping[str, Any]) -> None:
    for place, name in enumerate(names):
        rows[name]["latency_ms_p50"] = measured["latency_ms_p50"][place]
        rows[name]["times_faster"] = measured["times_faster"][place]
        earlier = rows[name].get("disturbances", [])
        rows[name]["disturbances"] = [*earlier, *measured["disturbances"]]


def _finalists(rows: Mapping[str, Row], opened: Sequence[str]) -> list[str]:
    """The baseline, and what passes, is clearly faster, and is as fast as the best or nearly so."""
    passing = [name for name in opened if name != FLOAT_VARIANT and rows[name]["passes"]]
    passing.sort(key=lambda name: -float(rows[name]["times_faster"]))
    faster = [name for name in passing if rows[name]["times_faster"] >= LEAST_GAIN]
    near = [
        name
        for name in faster
        if rows[name]["times_faster"] > _FINAL_WITHIN * rows[faster[0]]["times_faster"]
    ]
    return [FLOAT_VARIANT, *near[:_MOST_FINALISTS]]


# Forms of INT8 --------------------------------------------------------------------------------


def choose_form(bundle: Bundle, target: str) -> tuple[Bundle, Verdict]:
    """Measures every form that was made for a target against float here, and keeps the best.

    The target's own form is the best unless another that is worth using is clearly faster; if none
    is worth using, it is kept, and float is used. Its report lists them all.
    """
    variants = dict(bundle.manifest.variants)
    names = [name for name, variant in variants.items() if variant.target == target]
    verdicts = {}
    for name in names:
        speed = measure.times_faster(bundle, name)
        variants[name] = _with(variants[name], speed=speed)
        verdicts[name] = verdict_on(bundle, name, variants[name])
    useful = [name for name in names if verdicts[name].use]
    own = names[0]
    best = max(
        useful, key=lambda n: _times(variants[n]) * (_HEAD_START if n == own else 1.0), default=own
    )
    variants[best] = _with(variants[best], forms=[_form(name, variants[name]) for name in names])
    with edit(bundle) as draft:
        draft.require_same(bundle, names)
        draft.drop(set(names) - {best})
        draft.put(best, variants[best])
        if useful and target == this_target():  # another runtime may not be installed elsewhere
            draft.choose(target, best)
    return draft.bundle, verdicts[best]


def _with(variant: Variant, **facts: Any) -> Variant:
    return replace(variant, report={**variant.report, **facts})


def _times(variant: Variant) -> float:
    return float(variant.report["speed"]["times_faster"])


def _form(name: str, variant: Variant) -> dict[str, Any]:
    """One line of the comparison."""
    return {
        "variant": name,
        "times_faster": _times(variant),
        "drop_points": variant.report["drop_points"],
        "holds": variant.report["holds"],
    }

"""Which form of a model to use on this machine: measured, judged, and written into the bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit
from edgevit.bundle.manifest import Variant
from edgevit_runtimes.bench import measure
from edgevit_runtimes.devices.target import this_target
from edgevit_runtimes.selection.verdict import Verdict, judge

_HEAD_START = 1.1  # of a target's own form: it is calibrated, the others lose more accuracy


def measure_and_choose(bundle: Bundle, target: str) -> tuple[Bundle, Verdict]:
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
        verdicts[name] = judge(bundle, name, variants[name])
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

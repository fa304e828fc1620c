"""Whether a quantized variant is worth using on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from edgevit.bundle import Bundle, Variant, drop_variants, write_manifest
from edgevit_runtimes import measure
from edgevit_runtimes.devices.target import this_target

LEAST_GAIN = 1.02
_HEAD_START = 1.1  # of a target's own form: it is calibrated, the others lose more accuracy
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Verdict:
    """One line for people, and what it rests on."""

    target: str
    variant: str
    use: bool
    text: str


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
    chosen = {k: v for k, v in bundle.manifest.chosen.items() if v not in names}
    if useful and target == this_target():  # another runtime may not be installed elsewhere
        chosen[target] = best
    bundle = write_manifest(bundle, replace(bundle.manifest, variants=variants, chosen=chosen))
    if losers := set(names) - {best}:
        bundle = drop_variants(bundle, losers)
    return bundle, verdicts[best]


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


def judge(bundle: Bundle, name: str, variant: Variant) -> Verdict:
    """From a variant's report. One without a measured speed is not used."""
    report = variant.report
    speed: dict[str, Any] | None = report.get("speed")
    size = bundle.variant(name).stat().st_size
    share = 100 * size / (_FLOAT_BYTES * bundle.manifest.model.parameters)
    low, high = report["drop_points_interval_95"]
    drop = (
        f"top-1 {100 * report['top1']:.2f} % instead of {100 * report['float_top1']:.2f} % "
        f"(drop {report['drop_points']:+.2f} points, {low:+.2f} to {high:+.2f}, "
        f"{report['images']} images), {size / 2**20:.1f} MiB, {share:.0f} % of float32"
    )
    target = str(variant.target)
    if speed is None:
        source = report["accuracy_from"]
        text = f"{target}: not measured here; {drop}; accuracy from {source}"
        return Verdict(target, name, False, text)
    times = speed["times_faster"]
    slow, fast = speed["times_faster_quartiles"]
    gain = f"{times:.2f} times faster ({slow:.2f} to {fast:.2f}; {speed['latency_ms_p50']:.2f} ms)"
    if not report["holds"]:
        text = f"{target}: keep float: INT8 loses more than {report['max_drop_points']} points"
        return Verdict(target, name, False, f"{text}; {gain}, {drop}")
    if times < LEAST_GAIN:
        text = f"{target}: keep float: INT8 is not {LEAST_GAIN} times faster"
        return Verdict(target, name, False, f"{text}; {gain}, {drop}")
    return Verdict(target, name, True, f"{target}: use {name}: {gain}, {drop}")

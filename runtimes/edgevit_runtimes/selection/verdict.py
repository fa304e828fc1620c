"""Whether a quantized variant is worth using, from what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgevit.bundle.bundle import Bundle, Variant

LEAST_GAIN = 1.02
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Verdict:
    """One line for people, and what it rests on."""

    target: str
    variant: str
    use: bool
    text: str


def verdict_on(bundle: Bundle, name: str, variant: Variant) -> Verdict:
    """From a variant's report. One without a measured speed is not used."""
    report = variant.report
    speed: dict[str, Any] | None = report.get("speed")
    size = bundle.manifest.files[variant.file].bytes
    percent = 100 * size / (_FLOAT_BYTES * bundle.manifest.model.parameters)
    low, high = report["drop_points_interval_95"]
    metric = report.get("metric", "top-1")
    drop = (
        f"{metric} {100 * report['top1']:.2f} % instead of {100 * report['float_top1']:.2f} % "
        f"(drop {report['drop_points']:+.2f} points, {low:+.2f} to {high:+.2f}, "
        f"{_images(report)}), {size / 2**20:.1f} MiB, {percent:.0f} % of float32"
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


def _images(report: Mapping[str, Any]) -> str:
    """How many pictures measured it, and of which set, so that nobody takes it for another's."""
    name = report.get("picture_set", {}).get("name")
    return f"{report['images']} images" + (f" of {name}" if name else "")

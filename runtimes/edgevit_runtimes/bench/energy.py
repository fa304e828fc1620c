"""Energy of an inference, from power or energy that was read while they ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from edgevit_runtimes.devices.power import whole_input
from edgevit_runtimes.devices.sensors import Reading

_LEAST_READINGS = 5


@dataclass(frozen=True)
class Window:
    """Inferences that ran without a pause, and what was read meanwhile."""

    seconds: float
    inferences: int
    readings: Sequence[Reading]


@dataclass(frozen=True)
class Energy:
    """Of one inference, in millijoules; None is "unavailable", for the reason in ``why_not``.

    above_idle: without what the machine draws when nothing runs. source: where the power is read.
    covers: which rail or counter that is.
    """

    per_inference_mj: float | None = None
    above_idle_mj: float | None = None
    power_mw: float | None = None
    idle_mw: float | None = None
    source: str | None = None
    covers: str | None = None
    why_not: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def energy_per_inference(
    windows: Sequence[Window],
    idle: Sequence[Reading],
    source: str | None,
    why_not: str,
    counter_range_uj: Mapping[str, int],
) -> Energy:
    """Mean power over all windows times the time of an inference."""
    if source is None:
        return Energy(why_not=why_not)
    powers = [mean_power_mw(window.readings, counter_range_uj) for window in windows]
    known = [(p, w) for p, w in zip(powers, windows, strict=True) if p is not None]
    if len(known) < len(windows):
        return Energy(
            source=source,
            why_not=f"too few whole readings; every run wants {_LEAST_READINGS}: measure longer",
        )
    seconds = sum(window.seconds for _, window in known)
    inferences = sum(window.inferences for _, window in known)
    power = sum(p * window.seconds for p, window in known) / seconds
    at_rest = mean_power_mw(idle, counter_range_uj)
    each_s = seconds / inferences
    return Energy(
        per_inference_mj=round(power * each_s, 4),
        above_idle_mj=None if at_rest is None else round((power - at_rest) * each_s, 4),
        power_mw=round(power, 1),
        idle_mw=None if at_rest is None else round(at_rest, 1),
        source=source,
        covers=_covers(windows[0].readings[0]),
    )


def mean_power_mw(readings: Sequence[Reading], counter_range_uj: Mapping[str, int]) -> float | None:
    """Over the time from the first to the last reading; None where too few are whole.

    A reading in which a rail is missing that others have is not whole: its sum would be too small.
    """
    if any(reading.rails_mw for reading in readings):
        return _mean_of_rails(readings)
    return _mean_of_counters(readings, counter_range_uj)


def _mean_of_rails(readings: Sequence[Reading]) -> float | None:
    names = set().union(*(reading.rails_mw for reading in readings))
    whole = [reading for reading in readings if set(reading.rails_mw) == names]
    if len(whole) < max(_LEAST_READINGS, 0.9 * len(readings)):
        return None
    at_s = np.array([reading.at_ns for reading in whole]) / 1e9
    power = np.array([whole_input(reading.rails_mw)[0] for reading in whole])
    between = (power[1:] + power[:-1]) / 2
    return float(np.average(between, weights=np.diff(at_s)))


def _mean_of_counters(
    readings: Sequence[Reading], counter_range_uj: Mapping[str, int]
) -> float | None:
    whole = [reading for reading in readings if reading.energy_uj]
    if len(whole) < max(_LEAST_READINGS, 0.9 * len(readings)):
        return None
    elapsed_s = (whole[-1].at_ns - whole[0].at_ns) / 1e9
    used_uj = sum(
        _used(before.energy_uj, after.energy_uj, counter_range_uj)
        for before, after in pairwise(whole)
    )
    return used_uj / 1e3 / elapsed_s


def _used(before: Mapping[str, int], after: Mapping[str, int], ranges: Mapping[str, int]) -> int:
    """Counters start again from zero at their range."""
    total = 0
    for name in before.keys() & after.keys():
        difference = after[name] - before[name]
        total += difference if difference >= 0 else difference + ranges.get(name, 0)
    return total


def _covers(reading: Reading) -> str:
    if reading.rails_mw:
        return whole_input(reading.rails_mw)[1]
    return ", ".join(sorted(reading.energy_uj))

"""Inferences that are thrown away, until the latency stands still."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

STEADY_WITHIN = 0.02
_WINDOW_NS = 50_000_000  # a window of inferences takes about this long
_WINDOW_LEAST = 5
_WINDOWS_ALIKE = 3
LONGEST_S = 2.0


@dataclass(frozen=True)
class WarmUp:
    """How much was thrown away, and whether the latency had settled by then."""

    inferences: int
    seconds: float
    steady: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def warm_up(
    infer: Callable[[], object],
    least: int,
    longest_s: float = LONGEST_S,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> WarmUp:
    """Runs at least ``least`` inferences, and on until three windows in a row agree.

    Windows agree if their medians lie within 2 % of each other. Clocks that ramp up, caches, lazily
    loaded kernels and memory arenas all end in that. After ``longest_s`` it gives up and says so,
    unless ``least`` takes longer.
    """
    began = clock_ns()
    durations: list[int] = []
    medians: list[float] = []
    window_began = 0
    steady = False
    while not (len(durations) >= least and (steady or _late(began, longest_s, clock_ns))):
        started = clock_ns()
        infer()
        durations.append(clock_ns() - started)
        window = durations[window_began:]
        if len(window) >= _WINDOW_LEAST and sum(window) >= _WINDOW_NS:
            medians.append(median(window))
            window_began = len(durations)
            steady = _alike(medians[-_WINDOWS_ALIKE:])
    return WarmUp(len(durations), round((clock_ns() - began) / 1e9, 3), steady)


def _late(began: int, longest_s: float, clock_ns: Callable[[], int]) -> bool:
    return clock_ns() - began > longest_s * 1e9


def _alike(medians: list[float]) -> bool:
    return len(medians) == _WINDOWS_ALIKE and max(medians) <= min(medians) * (1 + STEADY_WITHIN)

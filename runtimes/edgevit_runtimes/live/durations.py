"""Percentiles of any number of durations in constant memory: a camera runs for weeks."""

from __future__ import annotations

import math
import threading

import numpy as np

from edgevit_runtimes.bench.percentiles import MIN_SAMPLES

_SHORTEST_NS = 1_000
_STEP = math.log(1.01)  # a bin is one percent wide, so a percentile is off by half of that
_BINS = 2_600  # reaches 1.7e5 seconds


class Durations:
    """A histogram with logarithmic bins. Safe to use from several threads."""

    def __init__(self) -> None:
        self._bins = np.zeros(_BINS, np.int64)
        self._total_ns = 0
        self._lock = threading.Lock()

    def add(self, duration_ns: int) -> None:
        steps = math.log(max(duration_ns, _SHORTEST_NS) / _SHORTEST_NS) / _STEP
        with self._lock:
            self._bins[min(int(steps), _BINS - 1)] += 1
            self._total_ns += duration_ns

    @property
    def count(self) -> int:
        return int(self._bins.sum())

    @property
    def total_s(self) -> float:
        return self._total_ns / 1e9

    def percentile_ms(self, percent: int) -> float | None:
        """None where there are too few samples for it."""
        with self._lock:
            cumulative = np.cumsum(self._bins)
        if cumulative[-1] < MIN_SAMPLES[percent]:
            return None
        place = int(np.searchsorted(cumulative, percent / 100 * cumulative[-1]))
        return round(_SHORTEST_NS * math.exp((place + 0.5) * _STEP) / 1e6, 4)

    def summary(self) -> dict[str, float | int | None]:
        """``{"p50", "p90", "p99", "mean", "samples"}``, milliseconds."""
        count = self.count
        mean = round(1e3 * self.total_s / count, 4) if count else None
        percentiles = {f"p{percent}": self.percentile_ms(percent) for percent in MIN_SAMPLES}
        return {**percentiles, "mean": mean, "samples": count}

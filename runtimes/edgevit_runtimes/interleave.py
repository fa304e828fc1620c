"""Two or more functions timed in turn, block by block: ratios that survive a drifting machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Interleaved:
    """times_ms: [rounds, functions], the median of every block.

    ``samples`` counts the timed calls of a function.
    """

    times_ms: NDArray[np.float64]
    block: int

    @property
    def samples(self) -> int:
        return len(self.times_ms) * self.block

    def median_ms(self, i: int) -> float:
        return float(np.median(self.times_ms[:, i]))

    def ratio(self, slow: int, fast: int) -> tuple[float, float, float]:
        """Median and quartiles of slow / fast, round by round."""
        ratios = self.times_ms[:, slow] / self.times_ms[:, fast]
        low, middle, high = np.percentile(ratios, [25, 50, 75])
        return float(middle), float(low), float(high)


def interleave(
    functions: Sequence[Callable[[], object]], block: int, rounds: int, discard: int = 10
) -> Interleaved:
    """Calls each function ``discard + block`` times in turn, ``rounds`` times over.

    A block of 1 with no discarded calls shows each function with the other's data in the caches.
    """
    medians = np.empty((rounds, len(functions)))
    for round_ in range(rounds):
        for i, function in enumerate(functions):
            for _ in range(discard):
                function()
            durations = []
            for _ in range(block):
                started = time.perf_counter_ns()
                function()
                durations.append(time.perf_counter_ns() - started)
            medians[round_, i] = np.median(durations) / 1e6
    return Interleaved(medians, block)


def pin_to_one_core() -> int:
    """Keeps this process on the first core it may use, and returns its number."""
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core

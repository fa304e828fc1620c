"""Two or more functions timed in turn, block by block: ratios that survive a drifting machine."""

from __future__ import annotations

import math
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
    samples: int

    def median_ms(self, i: int) -> float:
        return float(np.median(self.times_ms[:, i]))

    def ratio(self, slow: int, fast: int) -> tuple[float, float, float]:
        """Median and quartiles of slow / fast, round by round."""
        ratios = self.times_ms[:, slow] / self.times_ms[:, fast]
        low, middle, high = np.percentile(ratios, [25, 50, 75])
        return float(middle), float(low), float(high)


def interleave(
    functions: Sequence[Callable[[], object]],
    block: int,
    rounds: int,
    discard: int = 10,
    max_seconds: float = math.inf,
) -> Interleaved:
    """Calls each function ``discard + block`` times in turn, ``rounds`` times over.

    Past ``max_seconds`` no further round is begun, and no more calls than one a block are made.

    A block of 1 with no discarded calls shows each function with the other's data in the caches.
    """
    deadline = time.monotonic() + max_seconds
    medians: list[list[float]] = []
    samples = 0
    while len(medians) < rounds and (not medians or time.monotonic() < deadline):
        blocks = [_block(function, block, discard, deadline) for function in functions]
        medians.append([median for median, _ in blocks])
        samples += min(count for _, count in blocks)
    return Interleaved(np.array(medians), samples)


def _block(
    function: Callable[[], object], block: int, discard: int, deadline: float
) -> tuple[float, int]:
    """(median of the timed calls in ms, how many there were)."""
    for _ in range(discard):
        function()
        if time.monotonic() > deadline:
            break
    durations: list[int] = []
    while len(durations) < block and (not durations or time.monotonic() < deadline):
        started = time.perf_counter_ns()
        function()
        durations.append(time.perf_counter_ns() - started)
    return float(np.median(durations)) / 1e6, len(durations)


def pin_to_one_core() -> int:
    """Keeps this process on the first core it may use, and returns its number."""
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core

"""Rows a second against workers of Ray.

python benchmarks/scaling/ray_curves.py loop 2000    # one plain loop; prints its rows a second
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from cost_curve import Curve, point
from noise_pictures import smoothed_noise

from edgevit.bundle.bundle import Bundle
from edgevit.workflows.sets.answerer import AnswerRequest
from edgevit.workflows.sets.engines import EngineOptions, answered
from edgevit.workflows.sets.picture_items import items_of
from edgevit.workflows.sets.set_listing import SetListing
from edgevit.zoo.registry import PREBUILT_BUNDLE

_ROUNDS, _QUARTERS = 2, 4
_LOOP_SHARE = 2  # the plain loop gets so much fewer pictures


def measure(scratch: Path, workers: Sequence[int], pictures: int) -> list[Curve]:
    """In turn, so that what else the machine does meets all of them.

    The dashed line is one plain loop, without Ray; "plain loops at once" is what the processors
    give, whatever divides the work.
    """
    listing = _set_of(scratch, pictures)
    few = _set_of(scratch, pictures // _LOOP_SHARE)
    loop: list[float] = []
    by_ray: dict[int, list[float]] = {count: [] for count in workers}
    at_once: dict[int, list[float]] = {count: [] for count in workers}
    for _ in range(_ROUNDS):
        loop += _rows_a_second(few, EngineOptions())
        for count in workers:
            by_ray[count] += _rows_a_second(listing, EngineOptions("ray", workers=count))
            at_once[count].append(_loops_at_once(count, pictures // _LOOP_SHARE))
    alone, rows = float(np.median(loop)), "rows a second"
    rates = tuple(point(count, found) for count, found in by_ray.items())
    limits = tuple(point(count, found) for count, found in at_once.items())
    return [
        Curve("sets on Ray", "workers", rows, rates, alone, "a plain loop"),
        Curve("plain loops at once", "processes", rows, limits, alone, "a plain loop"),
    ]


def _set_of(scratch: Path, count: int) -> SetListing:
    items = list(items_of([str(smoothed_noise(scratch / "pictures", 64))]))
    return SetListing.of(items[place % len(items)] for place in range(count))


def _rows_a_second(listing: SetListing, engine: EngineOptions) -> list[float]:
    """Of four quarters of the blocks after the first, whose wait is that of the start."""
    request = AnswerRequest(Bundle.open(PREBUILT_BUNDLE).path, "float", 1, 1)
    first = 2 * (engine.workers or 1)
    rows, seconds = [], []
    for some in answered(listing, request, engine, on_gpu=False):
        rows.append(len(some))
        seconds.append(time.perf_counter())
    blocks = np.array_split(np.arange(first, len(rows)), _QUARTERS)
    return [sum(rows[i] for i in q) / (seconds[q[-1]] - seconds[q[0] - 1]) for q in blocks]


def _loops_at_once(count: int, pictures: int) -> float:
    """Rows a second of so many processes together, each with a set of its own."""
    command = [sys.executable, __file__, "loop", str(pictures)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return sum(float(process.communicate()[0]) for process in started)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        found = _rows_a_second(_set_of(Path(folder), int(sys.argv[2])), EngineOptions())
    print(float(np.median(found)))

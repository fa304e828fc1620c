"""Rows a second against workers of Ray, each with a processor core.

python benchmarks/scaling/ray_curves.py 2000         # a plain loop; prints its rows a second
python benchmarks/scaling/ray_curves.py 2000 2       # two workers of Ray
"""

from __future__ import annotations

import json
import os
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
from edgevit.zoo import PREBUILT_BUNDLE

_ROUNDS, _QUARTERS = 4, 4
_LOOP_SHARE = 2  # the plain loop gets so much fewer pictures


def measure(workers: Sequence[int], pictures: int) -> list[Curve]:
    """In turn, so that what else the machine does meets all of them.

    Everything that ``n`` workers need, Ray's own processes too, runs on ``n`` cores. The dashed
    line is one plain loop, without Ray; "plain loops at once" is what the cores give, whatever
    divides the work.
    """
    few = pictures // _LOOP_SHARE
    by_ray: dict[int, list[float]] = {count: [] for count in workers}
    at_once: dict[int, list[float]] = {count: [] for count in workers}
    loop: list[float] = []
    for _ in range(_ROUNDS):
        loop += _at_once(1, [few])
        for count in workers:
            by_ray[count] += _at_once(count, [pictures, count])
            at_once[count] += _at_once(count, *[[few]] * count)
    alone, rows = float(np.median(loop)), "rows a second"
    rates = tuple(point(count, found) for count, found in by_ray.items())
    limits = tuple(point(count, found) for count, found in at_once.items())
    return [
        Curve("sets on Ray", "workers", rows, rates, alone, "a plain loop"),
        Curve("plain loops at once", "processes", rows, limits, alone, "a plain loop"),
    ]


def _at_once(cores: int, *jobs: Sequence[int]) -> list[float]:
    """Rows a second, in quarters of the time, of jobs together on the first ``cores`` cores."""
    free = sorted(os.sched_getaffinity(0))[:cores]
    command = ["taskset", "-c", ",".join(map(str, free)), sys.executable, __file__]
    started = [
        subprocess.Popen([*command, *map(str, job)], stdout=subprocess.PIPE, text=True)
        for job in jobs
    ]
    rates = [json.loads(process.communicate()[0]) for process in started]
    return [sum(quarter) for quarter in zip(*rates, strict=True)]


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


if __name__ == "__main__":
    asked = EngineOptions("ray", workers=int(sys.argv[2])) if sys.argv[2:] else EngineOptions()
    with TemporaryDirectory() as folder:
        print(json.dumps(_rows_a_second(_set_of(Path(folder), int(sys.argv[1])), asked)))

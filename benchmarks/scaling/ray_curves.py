"""Rows a second, and processor time a row, against workers of Ray.

python benchmarks/scaling/ray_curves.py loop 2000    # one plain loop; prints its rows a second
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from cost_curve import Curve, point
from noise_pictures import smoothed_noise
from process_times import tree_seconds

from edgevit.bundle.bundle import Bundle
from edgevit.workflows.sets.answerer import AnswerRequest
from edgevit.workflows.sets.engines import EngineOptions, answered
from edgevit.workflows.sets.picture_items import items_of
from edgevit.workflows.sets.set_listing import SetListing
from edgevit.zoo.registry import PREBUILT_BUNDLE

_ROUNDS, _QUARTERS = 2, 4
_LOOP_SHARE = 2  # the plain loop gets so much fewer pictures


@dataclass(frozen=True)
class Speed:
    """Of all rows after the first blocks, whose wait is that of the start.

    rows_a_second: of four quarters of the blocks. cpu_ms_a_row: of all processes.
    """

    rows_a_second: list[float]
    cpu_ms_a_row: float


def measure(scratch: Path, workers: Sequence[int], pictures: int) -> list[Curve]:
    """In turn, so that what else the machine does meets all of them.

    The dashed line is one plain loop, without Ray; "plain loops at once" is what the processors
    give, whatever divides the work.
    """
    listing = _set_of(scratch, pictures)
    few = _set_of(scratch, pictures // _LOOP_SHARE)
    loops: list[Speed] = []
    by_ray: dict[int, list[Speed]] = {count: [] for count in workers}
    at_once: dict[int, list[float]] = {count: [] for count in workers}
    for _ in range(_ROUNDS):
        loops.append(_speed(few, EngineOptions()))
        for count in workers:
            by_ray[count].append(_speed(listing, EngineOptions("ray", workers=count)))
            at_once[count].append(_loops_at_once(count, pictures // _LOOP_SHARE))
    rate = float(np.median([r for speed in loops for r in speed.rows_a_second]))
    cost = float(np.median([speed.cpu_ms_a_row for speed in loops]))
    rates = [point(n, [r for s in speeds for r in s.rows_a_second]) for n, speeds in by_ray.items()]
    costs = [point(n, [s.cpu_ms_a_row for s in speeds]) for n, speeds in by_ray.items()]
    limits = [point(n, found) for n, found in at_once.items()]
    rows, cpu = "rows a second", "CPU, ms a row, all processes"
    return [
        Curve("sets on Ray", "workers", rows, tuple(rates), rate, "a plain loop"),
        Curve("plain loops at once", "processes", rows, tuple(limits), rate, "a plain loop"),
        Curve("cost of a row on Ray", "workers", cpu, tuple(costs), cost, "a plain loop"),
    ]


def _set_of(scratch: Path, count: int) -> SetListing:
    items = list(items_of([str(smoothed_noise(scratch / "pictures", 64))]))
    return SetListing.of(items[place % len(items)] for place in range(count))


def _speed(listing: SetListing, engine: EngineOptions) -> Speed:
    request = AnswerRequest(Bundle.open(PREBUILT_BUNDLE).path, "float", 1, 1)
    first = 2 * (engine.workers or 1)
    rows, seconds, began_cpu_s = [], [], 0.0
    for some in answered(listing, request, engine, on_gpu=False):
        rows.append(len(some))
        seconds.append(time.perf_counter())
        if len(rows) == first:
            began_cpu_s = tree_seconds()
        if sum(rows) == len(listing):  # before the workers are ended
            cpu_s = tree_seconds() - began_cpu_s
    blocks = np.array_split(np.arange(first, len(rows)), _QUARTERS)
    rates = [sum(rows[i] for i in q) / (seconds[q[-1]] - seconds[q[0] - 1]) for q in blocks]
    return Speed(rates, 1e3 * cpu_s / sum(rows[first:]))


def _loops_at_once(count: int, pictures: int) -> float:
    """Rows a second of so many processes together, each with a set of its own."""
    command = [sys.executable, __file__, "loop", str(pictures)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return sum(float(process.communicate()[0]) for process in started)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        found = _speed(_set_of(Path(folder), int(sys.argv[2])), EngineOptions())
    print(float(np.median(found.rows_a_second)))

"""Training against processes, Ray's rows against workers, memory against the size of a set."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from cost_curve import Curve, Point, point
from process_times import tree_seconds

from edgevit.bundle.bundle import Bundle
from edgevit.workflows.sets.answerer import AnswerRequest
from edgevit.workflows.sets.engines import EngineOptions, answered
from edgevit.workflows.sets.picture_items import items_of
from edgevit.workflows.sets.set_listing import SetListing
from edgevit.zoo.registry import PREBUILT_BUNDLE

_STEPS, _BATCH = 16, 16
# Of more than one row group, whose writing brings pandas in where it is installed (50 MiB).
SET_SIZES = (2048, 4096, 8192, 16384)
_PEAK = """
import resource, sys
from pathlib import Path
from edgevit.bundle.bundle import Bundle
from edgevit.workflows.sets.predict_set import predict_set
from edgevit.zoo.registry import PREBUILT_BUNDLE
predict_set(Bundle.open(PREBUILT_BUNDLE), [sys.argv[1]], sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def training(scratch: Path, processes: Sequence[int]) -> Curve:
    """Images a second of ``lla_micro`` in one epoch, each process with one thread.

    Of steps alone: listing, checking and validating are not counted.
    """
    points = []
    for count in processes:
        data = _class_folders(scratch / f"classes_{count}", _STEPS * _BATCH * count)
        run = scratch / f"run_{count}"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={count}", "-m", "edgevit", "train", "--data", str(data)]
        command += ["--model", "lla_micro", "--epochs", "1", "--batch", str(_BATCH)]
        command += ["--threads", "1", "--output", str(run)]
        subprocess.run(command, check=True, capture_output=True)
        entry = json.loads((run / "log.jsonl").read_text())
        images = _STEPS * _BATCH * count * 0.9 // (_BATCH * count) * (_BATCH * count)
        points.append(point(count, [images / entry["seconds_total"]]))
    return Curve("training", "processes", "images a second", tuple(points))


def ray(scratch: Path, workers: Sequence[int], pictures: int) -> list[Curve]:
    """Rows a second, and processor time a row; the dashed line is the plain loop, without Ray."""
    items = list(items_of([str(_pictures(scratch / "pictures", 64))]))
    many = SetListing.of(items[place % len(items)] for place in range(pictures))
    loop = _speed(many, EngineOptions())
    by_workers = [(n, _speed(many, EngineOptions("ray", workers=n))) for n in workers]
    named = {"reference_name": "plain loop"}
    rates = tuple(point(n, speed.rows_a_second) for n, speed in by_workers)
    costs = tuple(point(n, [speed.cpu_ms_a_row]) for n, speed in by_workers)
    return [
        Curve(
            "sets on Ray",
            "workers",
            "rows a second",
            rates,
            reference=point(0, loop.rows_a_second).median,
            **named,
        ),
        Curve(
            "cost of a row on Ray",
            "workers",
            "CPU time of all processes, ms a row",
            costs,
            reference=loop.cpu_ms_a_row,
            **named,
        ),
    ]


@dataclass(frozen=True)
class _Speed:
    """Of all rows after the first block, whose wait is that of the start.

    rows_a_second: of four quarters of the time. cpu_ms_a_row: of all processes.
    """

    rows_a_second: list[float]
    cpu_ms_a_row: float


def _speed(listing: SetListing, engine: EngineOptions) -> _Speed:
    request = AnswerRequest(Bundle.open(PREBUILT_BUNDLE).path, "float", 1, 1)
    rows, seconds, cpu_s = [], [], []
    for some in answered(listing, request, engine, on_gpu=False):
        rows.append(len(some))
        seconds.append(time.perf_counter())
        cpu_s.append(tree_seconds() if len(cpu_s) == 0 or sum(rows) == len(listing) else 0.0)
    quarters = np.array_split(np.arange(len(rows) - 1), 4)
    rates = [sum(rows[i + 1] for i in q) / (seconds[q[-1] + 1] - seconds[q[0]]) for q in quarters]
    return _Speed(rates, 1e3 * (cpu_s[-1] - cpu_s[0]) / sum(rows[1:]))


def memory(scratch: Path) -> Curve:
    """Peak resident memory of a process that answers a set by the plain loop."""
    folder = _pictures(scratch / "pictures", 64)
    points: list[Point] = []
    for size in SET_SIZES:
        listed = scratch / f"set_{size}.parquet"
        _list_files(listed, folder, size)
        command = [sys.executable, "-c", _PEAK, str(listed), str(scratch / f"a{size}.parquet")]
        ended = subprocess.run(command, check=True, capture_output=True, text=True)
        points.append(point(size, [float(ended.stdout.split()[-1])]))
    return Curve("memory", "pictures in the set", "peak memory, MiB", tuple(points))


def _list_files(target: Path, folder: Path, size: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(map(str, folder.iterdir()))
    pq.write_table(pa.table({"path": [files[i % len(files)] for i in range(size)]}), target)


def _class_folders(root: Path, count: int) -> Path:
    for name in ("a", "b"):
        _pictures(root / name, count // 2)
    return root


def _pictures(folder: Path, count: int) -> Path:
    """JPEGs of 160 x 160 pixels of smoothed noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(folder.name))
    for number in range(count):
        noise = rng.integers(0, 256, (20, 20, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.resize(noise, (160, 160)))
    return folder

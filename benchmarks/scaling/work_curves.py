"""Training against processes, Ray's rows against workers, memory against the size of a set."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from cost_curve import Curve, Point, point

from edgevit.bundle.bundle import Bundle
from edgevit.workflows.sets.answerer import AnswerRequest
from edgevit.workflows.sets.engines import EngineOptions, answered
from edgevit.workflows.sets.picture_items import PictureItem, items_of
from edgevit.zoo.registry import PREBUILT_BUNDLE

_STEPS, _BATCH = 16, 16
SET_SIZES = (64, 512, 4096)
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


def ray(scratch: Path, workers: Sequence[int], pictures: int) -> Curve:
    """Rows a second from the first block on; x = 0 is the plain loop, without Ray."""
    items = items_of([str(_pictures(scratch / "pictures", 64))])
    many = [items[place % len(items)] for place in range(pictures)]
    options = [(0, EngineOptions()), *((n, EngineOptions("ray", workers=n)) for n in workers)]
    points = [point(count, _rows_a_second(many, engine)) for count, engine in options]
    return Curve("sets", "workers of Ray (0: a plain loop)", "rows a second", tuple(points))


def _rows_a_second(items: list[PictureItem], engine: EngineOptions) -> list[float]:
    """Of four quarters of the rows after the first block, whose wait is that of the start."""
    bundle = Bundle.open(PREBUILT_BUNDLE)
    request = AnswerRequest(bundle.path, "float", 1, 1)
    rows, seconds = [], []
    for some in answered(items, request, engine, on_gpu=False):
        rows.append(len(some))
        seconds.append(time.perf_counter())
    quarters = np.array_split(np.arange(len(rows) - 1), 4)
    return [sum(rows[i + 1] for i in q) / (seconds[q[-1] + 1] - seconds[q[0]]) for q in quarters]


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

"""Training against processes, and memory against the size of a set."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cost_curve import Curve, Point, point
from noise_pictures import smoothed_noise

_STEPS, _BATCH, _EPOCHS = 48, 16, 4
_VALIDATION = 0.1  # what "edgevit train" keeps of a folder without val
# Of more than one row group, whose writing brings pandas in where it is installed (50 MiB).
SET_SIZES = (2048, 4096, 8192)
_PEAK = """
import resource, sys
from pathlib import Path
from edgevit.bundle.bundle import Bundle
from edgevit.workflows.sets.predict_set import predict_set
from edgevit.zoo import PREBUILT_BUNDLE
predict_set(Bundle.open(PREBUILT_BUNDLE), [sys.argv[1]], sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def training(scratch: Path, processes: Sequence[int]) -> Curve:
    """Images a second of ``lla_micro`` in each epoch after the first, each process with one thread.

    Of steps alone: listing, checking and validating are not counted.
    """
    points = []
    for count in processes:
        data = _class_folders(scratch / f"classes_{count}", _STEPS * _BATCH * count)
        run = scratch / f"run_{count}"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={count}", "-m", "edgevit", "train", "--data", str(data)]
        command += ["--model", "lla_micro", "--epochs", str(_EPOCHS), "--batch", str(_BATCH)]
        command += ["--workers", "1", "--output", str(run)]
        subprocess.run(command, check=True, capture_output=True)
        lines = (run / "log.jsonl").read_text().splitlines()
        ends_s = [json.loads(line)["seconds_total"] for line in lines]
        batch = _BATCH * count
        images = int(_STEPS * batch * (1 - _VALIDATION)) // batch * batch
        rates = [images / (end - start) for start, end in itertools.pairwise(ends_s)]
        points.append(point(count, rates))
    return Curve("training", "processes", "images a second", tuple(points))


def memory(scratch: Path) -> Curve:
    """Peak resident memory of a process that answers a set by the plain loop."""
    folder = smoothed_noise(scratch / "pictures", 64)
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
        smoothed_noise(root / name, count // 2)
    return root

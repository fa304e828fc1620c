"""What this machine can do at best: float32 multiply-accumulates and bytes read, in a second.

    python -m edgevit_runtimes.bench.peak

numpy's matrix product (OpenBLAS), on matrices that fit the caches, and a dot product of vectors
that do not. In a process of its own, because BLAS counts its threads when it is loaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgevit.common.errors import CheckFailedError

_SIDE = 768
_VECTOR_BYTES = 128 * 2**20
_REPEATS = 12
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Peak:
    """Of float32, with so many threads."""

    threads: int
    macs_per_s: float
    bytes_per_s: float

    def least_microseconds(self, macs: float, weight_bytes: float) -> float:
        """How long work takes that is limited by arithmetic, or by reading weights from memory."""
        return 1e6 * max(macs / self.macs_per_s, weight_bytes / self.bytes_per_s)


def measure_peak(threads: int) -> Peak:
    """Measures in a fresh process.

    Raises:
        CheckFailedError: it did not end well.
    """
    environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads))}
    paths = [path for path in sys.path if path]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    ended = subprocess.run(
        [sys.executable, "-m", __name__],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if ended.returncode:
        raise CheckFailedError(f"Measuring this machine's peak failed: {ended.stderr.strip()}")
    return Peak(threads, **json.loads(ended.stdout))


def _main() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, _SIDE, _SIDE), np.float32)
    x, y = (np.ones(_VECTOR_BYTES // 4, np.float32) for _ in range(2))
    product = _best_seconds(lambda: np.matmul(a, b))
    reading = _best_seconds(lambda: np.dot(x, y))
    result = {"macs_per_s": _SIDE**3 / product, "bytes_per_s": 2 * _VECTOR_BYTES / reading}
    print(json.dumps(result))


def _best_seconds(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    _main()

"""One measurement in a process of its own: the job, and how it is run.

The process is :mod:`.measurement_process`. It reads this module too, so nothing is imported here
that a cold start would not import anyway.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgevit.common.errors import CheckFailedError

_MODULE = f"{__package__}.measurement_process"


@dataclass(frozen=True)
class MeasurementJob:
    """One measurement.

    measurement: a name of :data:`.measurement_process.MEASUREMENTS`.
    bundle, reference: the folder, and its file of pictures.
    module: the Python module that runs the variant.
    samples, warmup, max_seconds, fps, threads, batch, cores, arena: as in
        :class:`.bench_options.BenchOptions`.
    shared_memory: the GPU's memory is the machine's own.
    variants: those that are measured in turn, in blocks of ``block`` inferences.
    spawned_s: when the process was started, as its parent saw it, in seconds of the clock that
        all processes of a machine share and that nobody sets (CLOCK_MONOTONIC).
    """

    measurement: str
    bundle: str
    variant: str
    reference: str
    module: str = "onnxruntime"
    threads: int = 1
    batch: int = 1
    samples: int = 1
    warmup: int = 50
    max_seconds: float = 60.0
    fps: float = 30.0
    cores: tuple[int, ...] | None = None
    arena: bool = True
    shared_memory: bool = False
    variants: tuple[str, ...] = ()
    block: int = 1
    spawned_s: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> MeasurementJob:
        """As our own parent process wrote it."""
        content = json.loads(text)
        for name in ("cores", "variants"):
            if content[name] is not None:
                content[name] = tuple(content[name])
        return cls(**content)


def process_environment() -> dict[str, str]:
    """Environment variables of a Python process that finds the modules that this one finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def measure_in_fresh_process(job: MeasurementJob, timeout_s: float) -> dict[str, Any]:
    """What the process measured.

    Raises:
        CheckFailedError: it failed, was killed, or did not end in time.
    """
    measurement = job.measurement
    spawned = replace(job, spawned_s=time.monotonic())
    try:
        ended = subprocess.run(
            [sys.executable, "-m", _MODULE, spawned.to_json()],
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout_s,
            env=process_environment(),
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise CheckFailedError(f"The measurement '{measurement}' failed: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise CheckFailedError(
            f"The measurement '{measurement}' did not end in {error.timeout:.0f} s."
        ) from error
    result: dict[str, Any] = json.loads(ended.stdout)
    return result

"""The fresh process of one measurement.

Started as ``python -m edgevit_runtimes.bench.measurement_process JSON``.

It imports no torch, opens the model once, measures one thing, prints one JSON line, and ends, so
that memory and cold start are those of a deployed program and nothing is warm from before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from edgevit.common.telemetry import import_quietly
from edgevit_runtimes.bench.fresh_process import MeasurementJob
from edgevit_runtimes.bench.warmup import LONGEST_S, warm_up
from edgevit_runtimes.devices.scheduling import process_delayed_s

_STATUS = Path("/proc/self/status")
_ROLLUP = Path("/proc/self/smaps_rollup")
_MEMINFO = Path("/proc/meminfo")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def _memory_mib(field: str) -> float:
    """VmRSS (now) or VmHWM (highest so far) of this process."""
    value = _kib(_STATUS, field)
    if value is None:
        raise RuntimeError(f"{_STATUS} has no {field}")
    return value / 1024


def _kib(path: Path, field: str) -> int | None:
    """A ``Field:   123 kB`` line; None where the system does not say."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)


def _pss_mib() -> float | None:
    """Resident memory with shared pages split between those who share them."""
    value = _kib(_ROLLUP, "Pss")
    return None if value is None else round(value / 1024, 1)


def _gpu_mib() -> float | None:
    """What ``nvidia-smi`` says this process holds; it lists none on a Jetson."""
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [line.split(",") for line in listed.stdout.splitlines() if line.count(",") == 1]
    held = [mib.strip() for pid, mib in rows if pid.strip() == str(os.getpid())]
    return sum(map(float, held)) if held and all(map(str.isdigit, held)) else None


def _reset_peak() -> bool:
    """Makes VmHWM start again from the present size (see proc(5), clear_refs), if it may."""
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def _open(job: MeasurementJob, variant: str | None = None) -> Callable[[], Any]:
    """Opens the job's variant, or another; gives a function that infers a real picture."""
    runner, feed = _opened(job, variant)
    return lambda: runner.infer(feed)


def _opened(job: MeasurementJob, variant: str | None = None) -> tuple[Any, dict[str, Any]]:
    """(runner, a feed of real pictures)."""
    import numpy as np

    from edgevit.bundle.bundle import Bundle
    from edgevit.zoo.interface.tensors import IMAGE_INPUT
    from edgevit_runtimes.backends.open_model import Host, open_variant

    bundle = Bundle.open(Path(job.bundle))
    spinning = job.measurement != "paced"  # as a feed runs it
    host = Host(job.cores, job.arena, spinning)
    runner = open_variant(bundle, variant or job.variant, job.threads, host)
    with np.load(job.reference, allow_pickle=False) as reference:
        pictures = reference["images"]
    picks = [i % len(pictures) for i in range(job.batch)]
    return runner, {IMAGE_INPUT: np.ascontiguousarray(pictures[picks])}


def measure_cold_start(job: MeasurementJob) -> dict[str, Any]:
    """From the start of the process (as its parent saw it) to the first answer."""
    entered_s = time.monotonic()
    started_ns = time.perf_counter_ns()
    infer = _open(job)
    opened_ns = time.perf_counter_ns()
    infer()
    answered_ns = time.perf_counter_ns()
    return {
        "python_start": round(1e3 * (entered_s - job.spawned_s), 2),
        "open_model": round((opened_ns - started_ns) / 1e6, 2),
        "first_inference": round((answered_ns - opened_ns) / 1e6, 2),
        "total": round(1e3 * (time.monotonic() - job.spawned_s), 2),
    }


def measure_memory(job: MeasurementJob) -> dict[str, Any]:
    """Memory while loading and while running, and Python's own without a model.

    ``load`` and ``steady`` are the peaks of resident memory. On a Jetson the GPU's memory is the
    machine's: ``shared_delta`` is by how much less is available with the model running.
    """
    import_module("numpy")
    import_quietly(job.module)

    interpreter = _memory_mib("VmRSS")
    available = _kib(_MEMINFO, "MemAvailable") if job.shared_memory else None
    infer = _open(job)
    load, load_pss = _memory_mib("VmHWM"), _pss_mib()
    for _ in range(max(job.warmup, 1)):
        infer()
    peak_is_fresh = _reset_peak()
    for _ in range(job.samples):
        infer()
    left = _kib(_MEMINFO, "MemAvailable") if job.shared_memory else None
    return {
        "load": round(load, 1),
        "steady": round(_memory_mib("VmHWM"), 1) if peak_is_fresh else None,
        "load_pss": load_pss,
        "steady_rss": round(_memory_mib("VmRSS"), 1),
        "steady_pss": _pss_mib(),
        "without_model": round(interpreter, 1),
        "gpu": _gpu_mib(),
        "shared_delta": None if available is None or left is None else (available - left) // 1024,
    }


def timed(infer: Callable[[], Any], samples: int, max_seconds: float) -> tuple[list[int], int, int]:
    """Calls one after the other: (durations in ns, began, ended), on the monotonic clock."""
    durations: list[int] = []
    clock = time.perf_counter_ns
    began = clock()
    deadline = began + int(max_seconds * 1e9)
    while len(durations) < samples:
        started = clock()
        if durations and started > deadline:
            break
        infer()
        durations.append(clock() - started)
    return durations, began, clock()


def measure_hot(job: MeasurementJob) -> dict[str, Any]:
    """One inference after the other."""
    runner, feed = _opened(job)
    on_device: list[Any] = []

    def infer() -> None:
        runner.infer(feed)
        on_device.append(getattr(runner, "last_times", None))

    warm = warm_up(infer, job.warmup, min(LONGEST_S, job.max_seconds))
    on_device.clear()
    cpu_began, delayed_began = time.process_time(), process_delayed_s()
    durations, began, ended = timed(infer, job.samples, job.max_seconds)
    return {
        "durations_ns": durations,
        "began_ns": began,
        "ended_ns": ended,
        "cpu_seconds": time.process_time() - cpu_began,
        "delayed_seconds": _since(delayed_began),
        "warmup": warm.to_json(),
        "device_ms_p50": _device_parts(on_device),
    }


def _since(began_s: float | None) -> float | None:
    """How long others had the cores that we wanted; None where the kernel does not say."""
    now_s = process_delayed_s()
    return None if began_s is None or now_s is None else max(0.0, now_s - began_s)


def _device_parts(times: list[Any]) -> dict[str, float] | None:
    """Medians of what the device timed itself; None for a runtime of the processor."""
    if None in times:
        return None
    parts = ("copy_in", "compute", "copy_out")
    return {part: round(median(getattr(t, f"{part}_ms") for t in times), 4) for part in parts}


def measure_paced(job: MeasurementJob) -> dict[str, Any]:
    """One inference per camera frame, asleep in between: caches and clocks go cold."""
    infer = _open(job)
    warm = warm_up(infer, job.warmup, min(LONGEST_S, job.max_seconds))
    period_ns = int(1e9 / job.fps)
    durations, late = [], 0
    due = time.perf_counter_ns()
    for _ in range(job.samples):
        pause = due - time.perf_counter_ns()
        if pause > 0:
            time.sleep(pause / 1e9)
        started = time.perf_counter_ns()
        infer()
        durations.append(time.perf_counter_ns() - started)
        due += period_ns
        late += time.perf_counter_ns() > due
    return {"durations_ns": durations, "warmup": warm.to_json(), "late": late}


def measure_against(job: MeasurementJob) -> dict[str, Any]:
    """The model and another in turn, on one core: how many times faster the first is."""
    from edgevit_runtimes.bench.interleave import interleave, pin_to_one_core

    core = pin_to_one_core()
    functions = [_open(job, variant) for variant in job.variants]
    times = interleave(functions, job.block, job.samples, job.warmup, job.max_seconds)
    middle, low, high = times.ratio(1, 0)
    return {
        "times_faster": round(middle, 3),
        "times_faster_quartiles": [round(low, 3), round(high, 3)],
        "latency_ms_p50": round(times.median_ms(0), 4),
        "other_latency_ms_p50": round(times.median_ms(1), 4),
        "samples": times.samples,
        "block": job.block,
        "core": core,
    }


def measure_side_by_side(job: MeasurementJob) -> dict[str, Any]:
    """Several variants in turn; on one core where one thread infers."""
    from edgevit_runtimes.bench.interleave import interleave, pin_to_one_core

    if job.threads == 1:
        pin_to_one_core()
    functions = [_open(job, variant) for variant in job.variants]
    began, cpu_began = time.perf_counter_ns(), time.process_time()
    delayed_began = process_delayed_s()
    times = interleave(functions, job.block, job.samples, job.warmup, job.max_seconds)
    ended, cpu_ended = time.perf_counter_ns(), time.process_time()
    places = range(len(functions))
    return {
        "began_ns": began,
        "ended_ns": ended,
        "cpu_seconds": cpu_ended - cpu_began,
        "delayed_seconds": _since(delayed_began),
        "latency_ms_p50": [round(times.median_ms(i), 4) for i in places],
        "times_faster": [round(times.ratio(0, i)[0], 4) for i in places],
        "rounds": len(times.times_ms),
        "block": job.block,
        "samples": times.samples,
    }


MEASUREMENTS = {
    "against": measure_against,
    "cold_start": measure_cold_start,
    "memory": measure_memory,
    "hot": measure_hot,
    "paced": measure_paced,
    "side_by_side": measure_side_by_side,
}


def main() -> None:
    job = MeasurementJob.from_json(sys.argv[1])
    result = MEASUREMENTS[job.measurement](job)
    if "torch" in sys.modules:
        raise RuntimeError("torch was imported into a measurement process; its memory is not ours")
    print(json.dumps(result))


if __name__ == "__main__":
    main()

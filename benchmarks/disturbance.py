"""Records hot runs with and without light other work on the same core, and what bench says of them.

    python benchmarks/disturbance.py OUTPUT_FOLDER --loads 0 0 0.05 0.1 0.19 --real-time

``--real-time`` (root) gives the measured process a real-time priority, and what stands for other
work a higher one: on a machine that others use, that is as good as a quiet one, but for what cores
share.
Prints JSON: of every run the percentiles, how long its core was taken away, and the verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle.bundle import REFERENCE_FILE, Bundle
from edgevit.common.console import print_json
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.tensors import IMAGE_INPUT
from edgevit_runtimes.backends.open_model import open_variant
from edgevit_runtimes.bench.disturbance import Run, disturbances
from edgevit_runtimes.bench.percentiles import latency_ms
from edgevit_runtimes.devices.scheduling import process_delayed_s

_BLOCK = 50
_REST_S = 0.02  # between blocks, or the kernel takes a share of a real-time process's core
_PERIOD_S = 0.1
_OURS, _OTHER = 20, 30  # real-time priorities


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--loads", type=float, nargs="+", default=[0, 0, 0, 0.05, 0.1, 0.19])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--be-other-work", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    if options.be_other_work:
        other_work(options.be_other_work, options.real_time)
    print_json({"runs": [recorded(i, load, options) for i, load in enumerate(options.loads)]})


def other_work(load: float, real_time: bool) -> None:
    """So much of a core, ten times a second, until it is killed."""
    _prioritise(_OTHER, real_time)
    while True:
        until = time.perf_counter() + load * _PERIOD_S
        while time.perf_counter() < until:
            continue
        time.sleep((1 - load) * _PERIOD_S)


def recorded(place: int, load: float, options: argparse.Namespace) -> dict[str, Any]:
    with beside(load, options):
        content = measured(options.samples, options.real_time)
    content["load"] = load
    options.output.mkdir(parents=True, exist_ok=True)
    name = f"{'quiet' if not load else 'busy'}-{place}.json"
    (options.output / name).write_text(json.dumps(content) + "\n")
    return {
        "load": load,
        **latency_ms([1000 * d for d in content["durations_us"]]),
        "delayed": round(content["delayed_seconds"] / content["seconds"], 4),
        "disturbances": disturbances([run_of(content)]),
    }


def run_of(content: dict[str, Any]) -> Run:
    """A recorded run, without sensors."""
    durations_ns = [1000 * duration for duration in content["durations_us"]]
    seconds, delayed_s = content["seconds"], content["delayed_seconds"]
    return Run(durations_ns, seconds, content["cpu_seconds"], content["steady"], (), delayed_s)


def measured(samples: int, real_time: bool) -> dict[str, Any]:
    with open_variant(Bundle.open(PREBUILT_BUNDLE), "float") as runner:
        with np.load(PREBUILT_BUNDLE / REFERENCE_FILE, allow_pickle=False) as reference:
            feed = {IMAGE_INPUT: np.ascontiguousarray(reference["images"][:1])}
        for _ in range(_BLOCK):
            runner.infer(feed)
        durations_ns: list[int] = []
        seconds = cpu_seconds = delayed_s = 0.0
        _prioritise(_OURS, real_time)
        while len(durations_ns) < samples:
            time.sleep(_REST_S)
            began, cpu_began, delayed_began = time.perf_counter(), time.process_time(), _delayed()
            for _ in range(_BLOCK):
                started = time.perf_counter_ns()
                runner.infer(feed)
                durations_ns.append(time.perf_counter_ns() - started)
            seconds += time.perf_counter() - began
            cpu_seconds += time.process_time() - cpu_began
            delayed_s += _delayed() - delayed_began
        if real_time:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return {
        "seconds": round(seconds, 4),
        "cpu_seconds": round(cpu_seconds, 4),
        "delayed_seconds": round(delayed_s, 5),
        "steady": True,
        "durations_us": [round(duration / 1000) for duration in durations_ns],
    }


def _delayed() -> float:
    delayed_s = process_delayed_s()
    if delayed_s is None:
        raise SystemExit("this kernel does not say how long threads wait for a core")
    return delayed_s


def _prioritise(priority: int, real_time: bool) -> None:
    if real_time:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


@contextmanager
def beside(load: float, options: argparse.Namespace) -> Iterator[None]:
    if not load:
        yield
        return
    command = [sys.executable, __file__, "unused", "--core", options.core, "--be-other-work", load]
    command += ["--real-time"] if options.real_time else []
    with subprocess.Popen([*map(str, command)]) as process:
        try:
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    main()

"""What measuring costs: the timer of ``edgevit bench``, and how it agrees with ONNX Runtime's own.

    python benchmarks/overhead/bench_overhead.py

Timer: the bench's own loop around a function that does nothing; what is left is the loop's. It is
set against an inference of 1 ms. Profiler: one session with ONNX Runtime's profiler on (which slows
it), timed by that loop; its ``model_run`` events say how long the same calls took by its clock.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime as ort

from edgevit.bundle.bundle import Bundle
from edgevit.common.console import print_json, print_table
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.tensors import IMAGE_INPUT
from edgevit_runtimes.bench.measurement_process import timed

EMPTY_CALLS, ROUNDS = 20_000, 7
WARMUP = 50


def main() -> None:
    arguments = _arguments()
    content = {**timer_cost(), **profiler_agreement(arguments.bundle, arguments.samples)}
    if arguments.json:
        print_json(content)
        return
    rows = [
        ("bench's loop, a call", f"{content['overhead_us']:.2f} us", "median of 7 rounds"),
        ("of a 1 ms inference", f"{content['overhead_percent_of_1_ms']:.3f} %", ""),
        (
            "timed by the bench",
            f"{content['bench_ms']:.4f} ms",
            f"{content['samples']} calls, mean",
        ),
        ("ONNX Runtime's model_run", f"{content['model_run_ms']:.4f} ms", "the same calls, mean"),
        ("difference", f"{content['difference_percent']:+.2f} %", ""),
    ]
    print_table("what measuring costs", ("figure", "value", "how"), rows)


def timer_cost() -> dict[str, float]:
    """Everything that the loop adds to a call: the clock twice, the list, the loop."""
    rounds = []
    for _ in range(ROUNDS):
        _, began, ended = timed(lambda: None, EMPTY_CALLS, 60)
        rounds.append((ended - began) / EMPTY_CALLS / 1e3)
    overhead_us = median(rounds)
    return {"overhead_us": overhead_us, "overhead_percent_of_1_ms": 100 * overhead_us / 1e3}


def profiler_agreement(path: Path, samples: int) -> dict[str, Any]:
    """The same calls by our clock and by ONNX Runtime's."""
    bundle = Bundle.open(path)
    feed = {IMAGE_INPUT: np.ascontiguousarray(bundle.reference().images[:1])}
    with tempfile.TemporaryDirectory() as scratch:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "profile")
        session = ort.InferenceSession(
            str(bundle.variant()), options, providers=["CPUExecutionProvider"]
        )
        for _ in range(WARMUP):
            session.run(None, feed)
        durations, _, _ = timed(lambda: session.run(None, feed), samples, 60)
        events = json.loads(Path(session.end_profiling()).read_text())
    runs = [event["dur"] for event in events if event["name"] == "model_run"][WARMUP:]
    ours, theirs = sum(durations) / len(durations) / 1e6, sum(runs) / len(runs) / 1e3
    return {
        "samples": len(durations),
        "events": len(runs),
        "bench_ms": ours,
        "model_run_ms": theirs,
        "difference_percent": 100 * (ours / theirs - 1),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", nargs="?", type=Path, default=PREBUILT_BUNDLE)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

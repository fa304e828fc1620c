"""Results of ``edgevit bench`` as they would come from machines that nobody has at hand."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.results.bench_result import BenchResult, result_from

# A real result's shape, with the parts that :func:`made` fills in.
_TEMPLATE: dict[str, Any] = {
    "schema": 1,
    "kind": "edgevit bench",
    "model": {
        "name": "lla_tiny",
        "bundle": "lla_tiny.edgevit",
        "bundle_sha256": "0" * 64,
        "variant": "float",
        "precision": "float32",
        "file_sha256": "f" * 64,
        "file_mib": 9.34,
        "verdicts": [],
        "accuracy": {"top1": 0.803, "images": 1973},
        "trained": True,
        "weights": "shipped",
        "parameters": 4745418,
        "macs": 71276320,
    },
    "latency_paced_ms": {
        "p50": 2.2,
        "p90": 2.7,
        "p99": None,
        "samples": 150,
        "fps": 30.0,
        "late": 0,
        "warmup": {"inferences": 50, "seconds": 0.1, "steady": True},
    },
    "overhead_us": 0.4,
    "cold_start_ms": {
        "python_start": 40.0,
        "open_model": 100.0,
        "first_inference": 2.0,
        "total": 174.0,
        "samples": 5,
    },
    "peak_memory_mib": {
        "load": 96.0,
        "steady": 97.0,
        "load_pss": 75.0,
        "steady_rss": 97.0,
        "steady_pss": 76.0,
        "without_model": 46.0,
        "gpu": None,
        "shared_delta": None,
    },
    "energy": {
        "per_inference_mj": None,
        "above_idle_mj": None,
        "power_mw": None,
        "idle_mw": None,
        "source": None,
        "covers": None,
        "why_not": "no power monitor",
    },
    "disturbed": False,
    "disturbances": [],
    "during": {
        "readings": 10,
        "interval_s": 0.1,
        "temperature_c": {},
        "clock_mhz": {},
        "slowed": {},
        "throttling_events": {},
        "vanished": [],
    },
    "options": {"threads": 1, "batch": 1, "samples": 900, "variant": "float"},
    "conditions": {
        "runtime": "onnxruntime 1.23.0, CPUExecutionProvider",
        "superpixels": "function bodies",
        "threads": 1,
        "batch": 1,
        "machine": {
            "kind": "x86",
            "name": None,
            "processor": "Some Processor",
            "governor": "performance",
            "jetson": None,
        },
        "environment": {},
        "python": "3.12.3",
        "edgevit": "0.1.0",
        "measured": "2026-01-01T00:00:00+00:00",
        "methods": {},
    },
}


def made(
    p50_ms: float = 1.5,
    device: str | None = None,
    variant: str = "float",
    seed: int = 0,
    process_spread: float = 0.0,
    **changes: Any,
) -> dict[str, Any]:
    """A result of three processes of 300 inferences; ``changes`` replace whole parts."""
    rng = np.random.default_rng(seed)
    result = copy.deepcopy(_TEMPLATE)
    scales = 1 + process_spread * np.array([-1, 0, 1])
    runs = [1e3 * p50_ms * scale * rng.lognormal(0, 0.03, 300) for scale in scales]
    everything = np.concatenate(runs)
    result["durations_us"] = [[round(float(d), 1) for d in run] for run in runs]
    result["latency_ms"] = {
        **{f"p{p}": float(np.percentile(everything, p)) / 1e3 for p in (50, 90, 99)},
        "samples": len(everything),
        "p50_by_process": [float(np.median(run)) / 1e3 for run in runs],
        "warmup": {"inferences": 300, "seconds": 0.5, "steady": True},
    }
    result["throughput_images_per_s"] = 1e6 / float(everything.mean())
    result["model"]["variant"] = variant
    if device is not None:
        result["conditions"]["machine"]["name"] = device
    return {**result, **changes}


def write(path: Path, result: dict[str, Any]) -> Path:
    path.write_text(json.dumps(result))
    return path


def made_result(*arguments: Any, **options: Any) -> BenchResult:
    """The same as it is once it was read."""
    return result_from(made(*arguments, **options))

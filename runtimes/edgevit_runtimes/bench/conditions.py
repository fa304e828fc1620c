"""All that a stranger has to know to repeat a figure: the model, the machine, the software."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from edgevit.bundle.bundle import FLOAT_VARIANT, MANIFEST_FILE, Bundle
from edgevit.common import telemetry
from edgevit.common.installed import distribution
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.version import __version__
from edgevit_runtimes.backends.native.native_library import instruction_sets
from edgevit_runtimes.bench.bench_options import BenchOptions
from edgevit_runtimes.devices import machine
from edgevit_runtimes.devices.target import this_target
from edgevit_runtimes.selection.verdict import verdict_on

# Environment variables that change how many threads run, and where.
_TELLING = ("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "ORT_", "CUDA_VISIBLE_DEVICES")


def model_facts(bundle: Bundle, variant: str) -> dict[str, Any]:
    """Which model, by name and by hash, and what is known of its accuracy."""
    model = bundle.manifest.model
    file = bundle.variant(variant)
    return {
        "name": model.name,
        "bundle": str(bundle.path),
        "bundle_sha256": sha256_of(bundle.path / MANIFEST_FILE),
        "variant": variant,
        "precision": bundle.manifest.variants[variant].precision,
        "file_sha256": bundle.manifest.files[file.name].sha256,
        "file_mib": round(file.stat().st_size / 2**20, 2),
        "verdicts": _verdicts(bundle),
        "accuracy": accuracy(bundle, variant),
        "trained": model.trained,
        "weights": model.weights,
        "parameters": model.parameters,
        "macs": model.macs,
    }


def accuracy(bundle: Bundle, variant: str) -> dict[str, Any] | None:
    """Top-1, mIoU or AP50 (0 to 1) as ``edgevit quantize`` measured it; None where nobody did.

    A compiled variant without a report has the accuracy of the one that it was compiled from.
    """
    variants = bundle.manifest.variants
    measured = bundle.manifest.measured(variant)
    report = measured.report if measured else {}
    if "top1" in report:
        return _known_accuracy(report, "top1")
    if measured is not variants.get(FLOAT_VARIANT):
        return None
    reports = (v.report for v in variants.values() if "float_top1" in v.report)
    found = next(reports, None)
    return None if found is None else _known_accuracy(found, "float_top1")


def _known_accuracy(report: Mapping[str, Any], figure: str) -> dict[str, Any]:
    """As :class:`edgevit.results.bench_result.KnownAccuracy`."""
    picture_set = report.get("picture_set")
    known = {"top1": report[figure], "images": report.get("images"), "picture_set": picture_set}
    return known | ({"metric": report["metric"]} if "metric" in report else {})


def _verdicts(bundle: Bundle) -> list[str]:
    """What was found when the bundle was quantized, for the target that this machine is."""
    here = this_target()
    return [
        verdict_on(bundle, name, variant).text
        for name, variant in bundle.manifest.variants.items()
        if variant.target == here and variant.accuracy() is not None
    ]


def conditions(options: BenchOptions, bundle: Bundle, variant: str) -> dict[str, Any]:
    runtime = bundle.manifest.variants[variant].runtime
    return {
        "runtime": runtime_label(bundle, variant),
        "threads": options.threads,
        "cores": list(options.cores) if options.cores else None,
        "memory_arena": options.arena if runtime == "onnxruntime" else None,
        "batch": options.batch,
        "machine": asdict(machine.describe()),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "environment": _environment(),
        "python": platform.python_version(),
        "edgevit": __version__,
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "methods": METHODS,
    }


def _environment() -> dict[str, str]:
    names = sorted(name for name in os.environ if name.startswith(_TELLING))
    return {name: os.environ[name] for name in names if name not in telemetry.SWITCHES}


METHODS = {
    "latency": "time of an inference by the monotonic clock, uint8 frame to logits, in fresh "
    "processes one after the other; p90 from 64 samples, p99 from 662",
    "warm_up": "until three windows of 50 ms agree within 2 %, at most 2 s",
    "memory": "VmHWM of a fresh process without torch, reset after warm-up for steady; PSS from "
    "smaps_rollup",
    "sensors": "read by the parent process, ten times a second, while the inferences run",
    "energy": "mean power while the inferences run, times the time of one",
}


def runtime_module(bundle: Bundle, variant: str) -> str:
    """The Python module that runs a variant."""
    entry = bundle.manifest.variants[variant]
    if entry.runtime == "native":
        return "edgevit_runtimes.backends.native.native_runner"
    if entry.runtime != "tensorrt" or entry.build is None:
        return entry.runtime
    return entry.build.built_for["runtime"].partition(" ")[0]


def runtime_label(bundle: Bundle, variant: str) -> str:
    """Runtime, version and what computes: ``onnxruntime 1.31.1, CPUExecutionProvider``."""
    entry = bundle.manifest.variants[variant]
    options = entry.build.options if entry.build else {}
    if entry.runtime == "onnxruntime":
        from edgevit_runtimes.backends.onnxruntime_runner import Placement

        return f"{' '.join(distribution('onnxruntime'))}, {Placement.from_options(options).wanted}"
    if entry.runtime == "openvino":
        return f"{' '.join(distribution('openvino'))}, CPU, {options.get('precision', 'f32')}"
    if entry.runtime == "native":
        usable = (name for name, is_usable in instruction_sets().items() if is_usable)
        return f"edgevit {__version__}, its native engine, {next(usable, 'portable')}"
    built_for = entry.build.built_for if entry.build else {}
    return f"{built_for.get('runtime', entry.runtime)}, {built_for.get('gpu', 'GPU')}"

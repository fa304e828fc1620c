"""Measures a bundle on this machine: every figure in a fresh process of its own, without torch."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from statistics import median_high
from typing import Any

import edgevit
from edgevit.bundle import FLOAT_VARIANT, REFERENCE_FILE, Bundle
from edgevit.errors import CheckFailedError, InputError
from edgevit.progress import Progress, stage
from edgevit.runner import batch_size
from edgevit_runtimes import kernel
from edgevit_runtimes.devices import x86
from edgevit_runtimes.devices.target import this_target
from edgevit_runtimes.open import open_variant
from edgevit_runtimes.verdict import judge

COLD_STARTS = 5
_MEMORY_SAMPLES = 50
_BLOCK, _ROUNDS, _DISCARDED = 50, 20, 10
_TIMEOUT_MARGIN_S = 120.0
_LONGEST_RUN_S = 86_400


@dataclass(frozen=True)
class BenchOptions:
    """How to measure.

    samples: inferences of the hot run, unless ``max_seconds`` ends it first.
    frames, fps: the camera-paced run.
    warmup: inferences discarded before every run.
    variant: which form of the model; None: the one chosen for this kind of machine.
    native: use the native superpixel kernels where they are built.
    """

    threads: int = 1
    batch: int = 1
    samples: int = 1000
    frames: int = 150
    fps: float = 30.0
    warmup: int = 50
    max_seconds: float = 60.0
    variant: str | None = None
    native: bool = True

    def __post_init__(self) -> None:
        for name in ("threads", "batch", "samples", "frames", "fps", "max_seconds"):
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise InputError(
                    f"--{name.replace('_', '-')} must be a number above zero; got {value}."
                )
        if self.warmup < 0:
            raise InputError(f"--warmup must not be negative; got {self.warmup}.")
        if max(self.max_seconds, self.frames / self.fps) > _LONGEST_RUN_S:
            raise InputError(
                f"A run of {max(self.max_seconds, self.frames / self.fps):g} s was asked for; the "
                f"longest is {_LONGEST_RUN_S} s. Lower --frames or --max-seconds, or raise --fps."
            )


def bench(bundle: Bundle, options: BenchOptions, progress: Progress) -> dict[str, Any]:
    """Measures everything and returns one JSON-ready dictionary.

    Raises:
        InputError: the options do not fit the bundle.
        CheckFailedError: a measurement process failed.
    """
    _refuse_other_batch(bundle, options)
    name = _variant(bundle, options)
    open_variant(bundle, name).close()  # what cannot be opened says so here, not in a process
    with stage(progress, f"cold start      {COLD_STARTS} fresh processes"):
        starts = [_run(bundle, options, "cold_start") for _ in range(COLD_STARTS)]
    with stage(progress, "memory          fresh process"):
        memory = peak_memory(bundle, options)
    with stage(progress, f"latency, hot    up to {options.samples} inferences"):
        hot = _run(bundle, options, "hot", samples=options.samples)
    with stage(progress, f"latency, paced  {options.frames} frames at {options.fps:g} fps"):
        paced = _run(bundle, options, "paced", samples=options.frames)
    return {
        "model": _model_facts(bundle, options),
        "latency_ms": {k: v for k, v in hot.items() if k != "throughput_images_per_s"},
        "latency_paced_ms": paced,
        "throughput_images_per_s": hot["throughput_images_per_s"],
        "cold_start_ms": {
            **{part: median_high([start[part] for start in starts]) for part in starts[0]},
            "samples": COLD_STARTS,
        },
        "peak_memory_mib": memory,
        "conditions": _conditions(options, bundle.manifest.variants[name].runtime),
    }


def peak_memory(bundle: Bundle, options: BenchOptions) -> dict[str, Any]:
    """Peak memory of a fresh process, in MiB: ``load``, ``steady``, ``without_model``."""
    memory: dict[str, Any] = _run(bundle, options, "memory", samples=_MEMORY_SAMPLES)
    return memory


def times_faster(bundle: Bundle, variant: str) -> dict[str, Any]:
    """A variant against float in a fresh process, interleaved in blocks on one core."""
    batch = batch_size(bundle.manifest.inputs, 1)
    options = BenchOptions(variant=variant, batch=batch, warmup=_DISCARDED)
    extra = {
        "other_model": str(bundle.variant(FLOAT_VARIANT)),
        "other_runtime": bundle.manifest.variants[FLOAT_VARIANT].runtime,
        "block": _BLOCK,
    }
    measured: dict[str, Any] = _run(bundle, options, "against", _ROUNDS, extra)
    return measured


def _variant(bundle: Bundle, options: BenchOptions) -> str:
    return options.variant or bundle.chosen(this_target())


def _refuse_other_batch(bundle: Bundle, options: BenchOptions) -> None:
    fixed = batch_size(bundle.manifest.inputs, options.batch)
    if fixed != options.batch:
        raise InputError(
            f"{bundle.path} was exported for batch {fixed}; got --batch {options.batch}. "
            f"Export it with --batch {options.batch} or --dynamic-batch."
        )


def _run(
    bundle: Bundle,
    options: BenchOptions,
    measurement: str,
    samples: int = 1,
    extra: Mapping[str, Any] | None = None,
) -> Any:
    variant = _variant(bundle, options)
    job = {
        **asdict(options),
        "measurement": measurement,
        "model": str(bundle.variant(variant)),
        "runtime": bundle.manifest.variants[variant].runtime,
        "reference": str(bundle.path / REFERENCE_FILE),
        "samples": samples,
        "spawned_s": time.time(),
        **(extra or {}),
    }
    module = f"{__package__}.measurement_process"
    expected_s = options.max_seconds + options.frames / options.fps
    try:
        finished = subprocess.run(
            [sys.executable, "-m", module, json.dumps(job)],
            capture_output=True,
            text=True,
            check=True,
            timeout=expected_s + _TIMEOUT_MARGIN_S,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise CheckFailedError(f"The measurement '{measurement}' failed: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise CheckFailedError(
            f"The measurement '{measurement}' did not end in {error.timeout:.0f} s."
        ) from error
    return json.loads(finished.stdout)


def _model_facts(bundle: Bundle, options: BenchOptions) -> dict[str, Any]:
    model = bundle.manifest.model
    variant = _variant(bundle, options)
    return {
        "name": model.name,
        "bundle": str(bundle.path),
        "variant": variant,
        "verdicts": _verdicts(bundle),
        "trained": model.trained,
        "weights": model.weights,
        "parameters": model.parameters,
        "macs": model.macs,
        "file_mib": round(bundle.variant(variant).stat().st_size / 2**20, 2),
    }


def _verdicts(bundle: Bundle) -> list[str]:
    """What was found when the bundle was quantized, for the target that this machine is."""
    here = this_target()
    variants = bundle.manifest.variants.items()
    return [judge(bundle, name, v).text for name, v in variants if v.target == here]


def _uses_native(options: BenchOptions, runtime: str) -> bool:
    return runtime == "onnxruntime" and options.native and kernel.library() is not None


def _conditions(options: BenchOptions, runtime: str) -> dict[str, Any]:
    on_cpu = ", CPUExecutionProvider" if runtime == "onnxruntime" else ", CPU"
    return {
        "runtime": f"{runtime} {version(runtime)}{on_cpu}",
        "superpixels": "native kernels" if _uses_native(options, runtime) else "function bodies",
        "threads": options.threads,
        "batch": options.batch,
        "machine": asdict(x86.describe()),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "edgevit": edgevit.__version__,
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "memory_method": "VmHWM of a fresh process without torch; reset after warm-up for steady",
    }

"""Measures a bundle on this machine: every figure in a fresh process of its own, without torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import median, median_high
from typing import Any

from edgevit.bundle.bundle import FLOAT_VARIANT, REFERENCE_FILE, Bundle
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress, stage
from edgevit.inference.runner import batch_size
from edgevit.results.bench_result import BenchResult, result_from
from edgevit_runtimes.backends.open_model import open_variant, refuse_cores
from edgevit_runtimes.bench.bench_options import BenchOptions
from edgevit_runtimes.bench.conditions import conditions, model_facts, runtime_module
from edgevit_runtimes.bench.disturbance import Run, disturbances, outer_disturbances
from edgevit_runtimes.bench.energy import Energy, Window, energy_per_inference
from edgevit_runtimes.bench.fresh_process import MeasurementJob, measure_in_fresh_process
from edgevit_runtimes.bench.percentiles import latency_ms
from edgevit_runtimes.bench.sampling import Sampler, summary
from edgevit_runtimes.devices import jetson, machine
from edgevit_runtimes.devices.facts import chosen_here
from edgevit_runtimes.devices.sensors import Reading
from edgevit_runtimes.devices.target import this_target
from edgevit_runtimes.devices.tree import Tree

COLD_STARTS = 5
HOT_PROCESSES = 3  # what differs from process to process shows, and stands in the result
GPU_RUNTIMES = ("tensorrt",)
_PROCESSORS = {"x86": "x86", "arm": "64-bit arm"}
_IDLE_S = 1.5
_MEMORY_SAMPLES = 50
_BLOCK, _ROUNDS, _DISCARDED = 50, 20, 10
_TIMEOUT_MARGIN_S = 120.0


def bench(bundle: Bundle, options: BenchOptions, progress: Progress) -> BenchResult:
    """Measures everything.

    Raises:
        InputError: the options do not fit the bundle, it has no such variant, or that is for
            another processor.
        CheckFailedError: a measurement process failed.
    """
    _refuse_other_batch(bundle, options)
    name = _variant(bundle, options)
    bundle.variant(name)  # refuses one that the bundle does not have
    _refuse_other_processor(bundle, name)
    options = replace(options, variant=name)
    if options.cores is not None:
        refuse_cores(options.cores)
    # What cannot be opened says so here, not in a process; this one stays on all its cores.
    open_variant(bundle, name, host=replace(options.host, cores=None)).close()
    bundle.reference()  # its pictures are what is inferred
    runtime = bundle.manifest.variants[name].runtime
    with stage(progress, f"measure the time to the first answer in {COLD_STARTS} new processes"):
        starts = [_run(bundle, options, "cold_start") for _ in range(COLD_STARTS)]
    with stage(progress, "measure memory in a new process"):
        memory = peak_memory(bundle, options)
    with stage(progress, f"measure latency back to back, up to {options.samples} inferences"):
        hot = _measure_hot(bundle, options, runtime)
    with stage(progress, f"measure latency of {options.frames} frames at {options.fps:g} fps"):
        paced = _run(bundle, options, "paced", samples=options.frames)
    content = {
        "model": model_facts(bundle, name),
        **hot,
        "latency_paced_ms": {
            **latency_ms(paced["durations_ns"]),
            "warmup": paced["warmup"],
            "fps": options.fps,
            "late": paced["late"],
        },
        "cold_start_ms": {
            **{part: median_high([start[part] for start in starts]) for part in starts[0]},
            "samples": COLD_STARTS,
        },
        "peak_memory_mib": memory,
        "options": asdict(options),
        "conditions": conditions(options, bundle, name),
    }
    return result_from(content)


def _measure_hot(bundle: Bundle, options: BenchOptions, runtime: str) -> dict[str, Any]:
    """Fresh processes one after the other, with the sensors read beside them."""
    runs: list[dict[str, Any]] = []
    with Sampler() as sampler:
        idle = sampler.idle(_IDLE_S)
        for samples in _shares(options.samples, HOT_PROCESSES):
            part = replace(options, max_seconds=options.max_seconds / HOT_PROCESSES)
            runs.append(_run(bundle, part, "hot", samples=samples))
            time.sleep(sampler.interval_s)  # for a reading behind the last inference
        windows = [_window(run, sampler) for run in runs]
        energy = _energy(windows, idle, sampler)
    durations = [duration for run in runs for duration in run["durations_ns"]]
    seconds = sum(window.seconds for window in windows)
    reasons = disturbances(
        [_as_run(run, window) for run, window in zip(runs, windows, strict=True)],
        on_gpu=runtime in GPU_RUNTIMES,
    )
    if machine.describe().emulated:
        reasons.insert(0, "the processor is emulated: these times are of no device")
    return {
        "latency_ms": {
            **latency_ms(durations),
            "p50_by_process": [latency_ms(run["durations_ns"])["p50"] for run in runs],
            "warmup": {
                "inferences": sum(run["warmup"]["inferences"] for run in runs),
                "seconds": round(sum(run["warmup"]["seconds"] for run in runs), 3),
                "steady": all(run["warmup"]["steady"] for run in runs),
            },
        },
        "device_ms_p50": _device_parts([run["device_ms_p50"] for run in runs]),
        "throughput_images_per_s": round(len(durations) * options.batch / seconds, 2),
        "overhead_us": round((seconds * 1e6 - sum(durations) / 1e3) / len(durations), 3),
        "energy": energy.to_json(),
        "disturbed": bool(reasons),
        "disturbances": reasons,
        "during": summary([reading for window in windows for reading in window.readings]),
        "durations_us": [[round(d / 1e3, 1) for d in run["durations_ns"]] for run in runs],
    }


def _device_parts(runs: list[dict[str, float] | None]) -> dict[str, float] | None:
    """What a GPU timed itself: copy in, compute, copy out; None for a runtime of the processor."""
    timed = [run for run in runs if run is not None]
    return (
        {part: round(median(run[part] for run in timed), 4) for part in timed[0]} if timed else None
    )


def _shares(total: int, parts: int) -> list[int]:
    """``total`` in at most ``parts`` whole shares, none of them empty."""
    parts = min(parts, total)
    return [total // parts + (i < total % parts) for i in range(parts)]


def _window(run: dict[str, Any], sampler: Sampler) -> Window:
    seconds = (run["ended_ns"] - run["began_ns"]) / 1e9
    readings = sampler.between(run["began_ns"], run["ended_ns"])
    return Window(seconds, len(run["durations_ns"]), readings)


def _as_run(run: dict[str, Any], window: Window) -> Run:
    return Run(
        run["durations_ns"],
        window.seconds,
        run["cpu_seconds"],
        run["warmup"]["steady"],
        window.readings,
        run["delayed_seconds"],
    )


def _energy(windows: list[Window], idle: list[Reading], sampler: Sampler) -> Energy:
    power = sampler.sensors.power
    return energy_per_inference(
        windows, idle, power.source, power.why_not, power.counter_range_uj()
    )


def peak_memory(bundle: Bundle, options: BenchOptions) -> dict[str, Any]:
    """Memory of a fresh process, in MiB: peaks (``load``, ``steady``), PSS, ``without_model``."""
    return _run(bundle, options, "memory", samples=_MEMORY_SAMPLES)


def times_faster(bundle: Bundle, variant: str) -> dict[str, Any]:
    """A variant against float in a fresh process, interleaved in blocks on one core."""
    batch = batch_size(bundle.manifest.inputs, 1)
    options = BenchOptions(variant=variant, batch=batch, warmup=_DISCARDED)
    return _run(bundle, options, "against", _ROUNDS, (variant, FLOAT_VARIANT))


def side_by_side(bundle: Bundle, variants: Sequence[str], threads: int = 1) -> dict[str, Any]:
    """Several variants in turn in a fresh process, block by block; the first is the baseline.

    Returns:
        ``{"latency_ms_p50": [..], "times_faster": [..], "rounds": n, "block": n, "samples": n,
        "disturbances": [..], ..}``, in the order of ``variants``; ``times_faster`` than the first,
        median of the rounds; ``disturbances`` in words, from outside, none on a quiet machine.
    """
    batch = batch_size(bundle.manifest.inputs, 1)
    options = BenchOptions(variant=variants[0], batch=batch, threads=threads, warmup=_DISCARDED)
    with Sampler() as sampler:
        found = _run(bundle, options, "side_by_side", _ROUNDS, variants)
        time.sleep(sampler.interval_s)  # for a reading behind the last inference
        readings = sampler.between(found["began_ns"], found["ended_ns"])
    seconds = (found["ended_ns"] - found["began_ns"]) / 1e9
    run = Run((), seconds, found["cpu_seconds"], True, readings, found["delayed_seconds"])
    on_gpu = any(bundle.manifest.variants[name].runtime in GPU_RUNTIMES for name in variants)
    return {**found, "disturbances": outer_disturbances([run], on_gpu)}


def _variant(bundle: Bundle, options: BenchOptions) -> str:
    return options.variant or chosen_here(bundle)


def _refuse_other_processor(bundle: Bundle, variant: str) -> None:
    """A form made for another architecture would run, and its figures would mean nothing."""
    target = bundle.manifest.variants[variant].target or ""
    here = this_target()
    wanted = next((name for name in _PROCESSORS if name in target), None)
    if wanted is not None and wanted not in here:
        raise InputError(
            f"{bundle.path}: the variant '{variant}' was made for {_PROCESSORS[wanted]}; this "
            f"machine is {_PROCESSORS['arm' if 'arm' in here else 'x86']}. Choose another with "
            "--variant, or measure it there with --host."
        )


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
    variants: Sequence[str] = (),
) -> dict[str, Any]:
    """What a fresh process measured.

    Args:
        variants: those that are measured in turn.
    """
    variant = _variant(bundle, options)
    runtime = bundle.manifest.variants[variant].runtime
    job = MeasurementJob(
        measurement=measurement,
        bundle=str(bundle.path),
        variant=variant,
        reference=str(bundle.path / REFERENCE_FILE),
        module=runtime_module(bundle, variant),
        threads=options.threads,
        batch=options.batch,
        samples=samples,
        warmup=options.warmup,
        max_seconds=options.max_seconds,
        fps=options.fps,
        cores=options.cores,
        arena=options.arena,
        shared_memory=runtime in GPU_RUNTIMES and jetson.is_jetson(Tree()),
        variants=tuple(variants),
        block=_BLOCK,
    )
    expected_s = options.max_seconds + options.frames / options.fps
    return measure_in_fresh_process(job, expected_s + _TIMEOUT_MARGIN_S)

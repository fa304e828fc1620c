"""``edgevit bench``: latency, throughput, cold start and memory on a device."""

from __future__ import annotations

import platform
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from edgevit.cli.options import (
    JsonOption,
    ThreadsOption,
    VariantOption,
    open_bundle,
    untrained_note,
)
from edgevit.errors import InputError


class Device(str, Enum):
    """Where to measure."""

    auto = "auto"
    x86 = "x86"
    jetson = "jetson"


def bench(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle folder. Default: the prebuilt lla_tiny.")
    ] = None,
    device: Annotated[Device, typer.Option(help="The device to measure.")] = Device.auto,
    threads: ThreadsOption = 1,
    batch: Annotated[int, typer.Option(min=1, help="Pictures an inference.")] = 1,
    samples: Annotated[int, typer.Option(min=1, help="Inferences of the hot run.")] = 1000,
    warmup: Annotated[int, typer.Option(min=0, help="Inferences discarded first.")] = 50,
    fps: Annotated[float, typer.Option(help="Frame rate of the camera-paced run.")] = 30.0,
    frames: Annotated[int, typer.Option(min=1, help="Frames of the camera-paced run.")] = 150,
    max_seconds: Annotated[float, typer.Option(help="Ends the hot run early.")] = 60.0,
    variant: VariantOption = None,
    native: Annotated[
        bool, typer.Option("--native/--body", help="Superpixels: built kernels, or the body.")
    ] = True,
    json: JsonOption = False,
) -> None:
    """Measure a bundle: every figure in a fresh process, without torch."""
    from edgevit.progress import progress_for_stderr
    from edgevit.report import print_json
    from edgevit_runtimes import measure

    _refuse_other_device(device)
    opened = open_bundle(bundle)
    options = measure.BenchOptions(
        threads=threads,
        batch=batch,
        samples=samples,
        frames=frames,
        fps=fps,
        warmup=warmup,
        max_seconds=max_seconds,
        variant=variant,
        native=native,
    )
    result = measure.bench(opened, options, progress_for_stderr())
    if json:
        print_json(result)
    else:
        _print(result, untrained_note(opened))


def _refuse_other_device(device: Device) -> None:
    machine = platform.machine()
    if device is Device.jetson:
        raise InputError(
            f"--device jetson needs a Jetson; this machine is {machine}. Measuring a Jetson from "
            "here over SSH (--host user@address) comes with a later version; --device auto "
            "measures this machine's processor."
        )
    if device is Device.x86 and machine not in ("x86_64", "AMD64"):
        raise InputError(f"--device x86 was asked for, but this machine is {machine}. Use auto.")


def _print(result: dict[str, Any], note: str | None) -> None:
    from edgevit.report import print_table

    model, conditions = result["model"], result["conditions"]
    hot, paced = result["latency_ms"], result["latency_paced_ms"]
    memory, start = result["peak_memory_mib"], result["cold_start_ms"]
    machine = conditions["machine"]
    rows = [
        ("latency, back to back", _latency(hot), f"{hot['samples']} samples"),
        (
            f"latency, camera at {paced['fps']:g} fps",
            _latency(paced),
            f"{paced['samples']} samples, {paced['late']} late",
        ),
        ("throughput", f"{result['throughput_images_per_s']:.1f} images/s", "back to back"),
        (
            "cold start to first answer",
            f"{start['total']:.0f} ms",
            f"model opens in {start['open_model']:.0f} ms; median of {start['samples']}",
        ),
        ("peak memory, load", _mib(memory["load"]), "fresh process, no torch"),
        (
            "peak memory, steady",
            _mib(memory["steady"]),
            f"of which {memory['without_model']:.0f} MiB without a model",
        ),
        ("model file", f"{model['file_mib']:.1f} MiB", f"{model['parameters'] / 1e6:.2f} M params"),
    ]
    if note:
        rows.insert(0, ("note", note, ""))
    title = " | ".join(
        (
            f"{model['name']} {model['variant']}",
            f"{machine['processor'] or 'processor unavailable'}",
            f"{conditions['threads']} thread(s), batch {conditions['batch']}",
            f"{conditions['runtime']}, superpixels by {conditions['superpixels']}",
        )
    )
    print_table(title, ("figure", "value", "how"), rows)
    for verdict in model["verdicts"]:
        print(verdict)


def _latency(figures: dict[str, Any]) -> str:
    """p50 / p90 / p99; a dash where there are too few samples for one."""
    parts = [figures[p] for p in ("p50", "p90", "p99")]
    shown = " / ".join("-" if part is None else f"{part:.2f}" for part in parts)
    return f"p50 / p90 / p99  {shown} ms"


def _mib(value: float | None) -> str:
    return "unavailable" if value is None else f"{value:.0f} MiB"

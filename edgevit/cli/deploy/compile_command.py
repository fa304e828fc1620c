"""``edgevit compile``: what a runtime loads fastest, and which is the fastest that is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgevit.cli.options import (
    DryRunOption,
    HostOption,
    JsonOption,
    MaxPixelsOption,
    ThreadsOption,
    TimeoutOption,
    open_for_change,
    refuse_timeout_here,
)
from edgevit.common.errors import InputError
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS
from edgevit.workflows.targets.compile_request import Precision, Provider, Target


def compile_bundle(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder; the variant is added to it.")],
    target: Annotated[
        Target, typer.Option(help="A runtime, or auto: the fastest variant that answers correctly.")
    ],
    precision: Annotated[
        Precision | None,
        typer.Option(help="Precision. Default: fp32; with auto: all that are available."),
    ] = None,
    capability: Annotated[
        str | None,
        typer.Option(help="TensorRT: build ahead of time for 8.0, 8.6, 8.9 or 12.0; needs no GPU."),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(help="TensorRT, dynamic batch: LOW:TUNED:HIGH. Default: 1:1:8."),
    ] = None,
    cuda_graph: Annotated[
        bool, typer.Option(help="TensorRT: replay the engine as a CUDA graph.")
    ] = True,
    provider: Annotated[
        Provider, typer.Option(help="ONNX Runtime: execution provider.")
    ] = Provider.cpu,
    allow_fallback: Annotated[
        bool,
        typer.Option(
            "--allow-fallback",
            help="Allow nodes that the provider does not support to run on the CPU.",
        ),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled images to calibrate INT8 on, if the bundle has no INT8 variant yet."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Images to compare the variants on. Default: the bundle's own eight."),
    ] = None,
    keep_all: Annotated[
        bool,
        typer.Option("--keep-all", help="With auto: also keep the variants that were not chosen."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Compile again even if the variant is up to date.")
    ] = False,
    threads: ThreadsOption = 1,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    host: HostOption = None,
    timeout: TimeoutOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Compile a bundle for a runtime and this machine, or find the fastest form that is right."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.compile import compile_bundle as compile_it
    from edgevit.workflows.compile import plan_compilation

    set_max_pixels(max_pixels)
    if dry_run and host is not None:
        raise InputError("--dry-run says what would be done here; leave out --host.")
    opened, progress = open_for_change(bundle), progress_for_stderr()
    if dry_run:
        planned = plan_compilation(
            opened,
            target,
            precision=precision,
            capability=capability,
            provider=provider,
            data=data,
            force=force,
        )
        show(planned, json)
        return
    options: dict[str, Any] = {
        "precision": precision,
        "capability": capability,
        "batch": batch,
        "cuda_graph": cuda_graph,
        "provider": provider,
        "allow_fallback": allow_fallback,
        "data": data,
        "images": images,
        "keep_all": keep_all,
        "force": force,
        "threads": threads,
        "progress": progress,
    }
    if host is None:
        refuse_timeout_here(timeout)
        show(compile_it(opened, target, **options), json)
        return
    from edgevit.workflows.remote.host_work import compile_there

    show(compile_there(opened, host, target, timeout_s=timeout, **options), json)

"""``edgevit quantize``: INT8 variants that keep their accuracy, and whether they pay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import (
    DryRunOption,
    JsonOption,
    MaxPixelsOption,
    ThreadsOption,
    open_for_change,
)
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS


def quantize(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder; variants are added to it.")],
    data: Annotated[Path, typer.Option(help="Calibration images, one subfolder per class.")],
    val_data: Annotated[
        Path | None,
        typer.Option(help="Images to measure accuracy on. Default: half of --data."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="onnxruntime-x86, onnxruntime-x86-avx2, onnxruntime-arm, openvino, "
            "tensorrt, native or all; may be repeated. Default: this machine's, and tensorrt."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=8, help="Number of calibration images.")] = 256,
    max_drop: Annotated[
        float,
        typer.Option(
            min=0,
            help="Largest accepted drop of top-1 accuracy, mIoU or AP50, in percentage points.",
        ),
    ] = 0.5,
    calibration: Annotated[
        str,
        typer.Option(
            "--calibration-method",
            help="Calibration method: minmax, percentile, entropy, mse, or auto for the best.",
        ),
    ] = "auto",
    plot: Annotated[
        Path | None,
        typer.Option(help="Plot accuracy against the number of layers kept in float: .png, .svg."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing variants.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for the choice of images.")] = 0,
    threads: ThreadsOption = 1,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Add INT8 and FP16 variants to a bundle, measure their accuracy, and say which to use."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.quantize import plan_quantization
    from edgevit.workflows.quantize import quantize as quantize_bundle

    set_max_pixels(max_pixels)
    opened, progress = open_for_change(bundle), progress_for_stderr()
    if dry_run:
        planned = plan_quantization(
            opened,
            data,
            val_data,
            targets=target,
            images=count,
            force=force,
            seed=seed,
            progress=progress,
        )
        show(planned, json)
        return
    result = quantize_bundle(
        opened,
        data,
        val_data,
        targets=target,
        images=count,
        max_drop=max_drop,
        method=calibration,
        plot=plot,
        force=force,
        seed=seed,
        threads=threads,
        progress=progress,
    )
    show(result, json)

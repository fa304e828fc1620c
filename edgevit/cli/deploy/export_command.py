"""``edgevit export``: from weights to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import JsonOption, MaxPixelsOption, class_names
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS


def export(
    model: Annotated[str, typer.Option(help="A name that 'edgevit models' lists.")] = "lla_tiny",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights: .safetensors, .pth or .pt. Default: the shipped.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="How many classes, or a text file with one name a line.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Bundle folder. Default: MODEL.edgevit")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Fixed batch size.")] = 1,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Any batch size, chosen when it runs.")
    ] = False,
    with_superpixels: Annotated[
        bool, typer.Option("--with-superpixels", help="Give the superpixel map as an output too.")
    ] = False,
    with_features: Annotated[
        bool, typer.Option("--with-features", help="Give a LaViT's or a ViT's maps as outputs too.")
    ] = False,
    half_storage: Annotated[
        bool,
        typer.Option(
            "--half-storage",
            help="Store weights that float16 holds exactly as float16: half the file, same bits.",
        ),
    ] = False,
    parity_images: Annotated[
        Path | None, typer.Option(help="Folder of pictures for the parity gate. Default: built in.")
    ] = None,
    parity_count: Annotated[
        int, typer.Option(min=1, help="At most so many of them, spread evenly.")
    ] = 32,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    json: JsonOption = False,
) -> None:
    """Trace a model to ONNX, check it against torch, and write a bundle."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.export import export as export_model

    set_max_pixels(max_pixels)
    result = export_model(
        model,
        output,
        checkpoint=checkpoint,
        classes=class_names(classes),
        batch=None if dynamic_batch else batch,
        with_superpixels=with_superpixels,
        with_features=with_features,
        half_storage=half_storage,
        parity_images=parity_images,
        parity_count=parity_count,
        force=force,
        progress=progress_for_stderr(),
    )
    show(result, json)

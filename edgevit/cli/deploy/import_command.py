"""``edgevit import``: from somebody's ONNX classifier to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import (
    JsonOption,
    MaxPixelsOption,
    ParityCountOption,
    ParityImagesOption,
    class_names,
)
from edgevit.cli.picture_options import (
    PANEL,
    CropPctOption,
    MeanOption,
    PreprocessOption,
    ResizeOption,
    ScaleOption,
    StdOption,
    input_options,
)
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS


def import_model(
    file: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX classifier.")],
    classes: Annotated[
        str | None,
        typer.Option(help="Text file with one class name per line, or the number of classes."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Bundle folder. Default: MODEL.edgevit")
    ] = None,
    preprocess: PreprocessOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    scale: ScaleOption = None,
    resize: ResizeOption = None,
    crop_pct: CropPctOption = None,
    layout: Annotated[
        str | None,
        typer.Option(help="nchw or nhwc. Default: what the model says.", rich_help_panel=PANEL),
    ] = None,
    colour: Annotated[
        str, typer.Option(help="Order of the channels: rgb or bgr.", rich_help_panel=PANEL)
    ] = "rgb",
    size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pixels of a side, if the model takes any.", rich_help_panel=PANEL
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Fix the batch, if the model takes any.", rich_help_panel=PANEL),
    ] = None,
    logits: Annotated[
        str | None, typer.Option(help="Name of the output, if the model has several.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    parity_images: ParityImagesOption = None,
    parity_count: ParityCountOption = 32,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    json: JsonOption = False,
) -> None:
    """Make a bundle of an ONNX classifier, preprocessing inside, and check it against the file."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.importing.import_model import import_onnx

    set_max_pixels(max_pixels)
    result = import_onnx(
        file,
        output,
        classes=class_names(classes),
        layout=layout,
        colour=colour,
        size=size,
        batch=batch,
        logits=logits,
        parity_images=parity_images,
        parity_count=parity_count,
        force=force,
        **input_options(preprocess, mean, std, scale, resize or "squash", crop_pct),
        progress=progress_for_stderr(),
    )
    show(result, json)

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
from edgevit.common.errors import InputError
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS

_INPUT = "The model's input"


def import_model(
    file: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX classifier.")],
    classes: Annotated[
        str | None,
        typer.Option(help="Text file with one class name per line, or the number of classes."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Bundle folder. Default: MODEL.edgevit")
    ] = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            help="Normalisation: imagenet (the default), inception or clip.", rich_help_panel=_INPUT
        ),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Mean by channel, such as 0.5,0.5,0.5, or one.", rich_help_panel=_INPUT),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(help="Standard deviation by channel, or one.", rich_help_panel=_INPUT),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            help="What pixels are multiplied by before mean and std. Default: 1/255",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    resize: Annotated[
        str,
        typer.Option(
            help="How pictures get the model's size: squash, crop or letterbox.",
            rich_help_panel=_INPUT,
        ),
    ] = "squash",
    crop_pct: Annotated[
        float | None,
        typer.Option(
            "--crop-pct",
            help="Side of a crop over the picture's shorter side. Default: 0.875",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="nchw or nhwc. Default: what the model says.", rich_help_panel=_INPUT),
    ] = None,
    colour: Annotated[
        str, typer.Option(help="Order of the channels: rgb or bgr.", rich_help_panel=_INPUT)
    ] = "rgb",
    size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pixels of a side, if the model takes any.", rich_help_panel=_INPUT
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Fix the batch, if the model takes any.", rich_help_panel=_INPUT),
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
        preprocess=preprocess,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        scale=None if scale is None else _number("--scale", scale),
        resize=resize,
        crop_pct=crop_pct,
        layout=layout,
        colour=colour,
        size=size,
        batch=batch,
        logits=logits,
        parity_images=parity_images,
        parity_count=parity_count,
        force=force,
        progress=progress_for_stderr(),
    )
    show(result, json)


def _numbers(name: str, text: str | None) -> list[float] | None:
    """Numbers with commas between."""
    return None if text is None else [_number(name, part) for part in text.split(",")]


def _number(name: str, text: str) -> float:
    """``0.5``, or a fraction such as ``1/255``."""
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"{name} got '{text}'; expected a number such as 0.5, or a fraction such as 1/255."
        ) from None

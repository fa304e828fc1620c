"""Options that say how pictures become a model's input; import, export and train share them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edgevit.common.errors import InputError

PANEL = "The model's input"

PreprocessOption = Annotated[
    str | None,
    typer.Option(
        help="Normalisation: imagenet (the default), inception or clip.", rich_help_panel=PANEL
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(help="Mean by channel, such as 0.5,0.5,0.5, or one.", rich_help_panel=PANEL),
]
StdOption = Annotated[
    str | None,
    typer.Option(help="Standard deviation by channel, or one.", rich_help_panel=PANEL),
]
ScaleOption = Annotated[
    str | None,
    typer.Option(
        help="What pixels are multiplied by before mean and std. Default: 1/255",
        rich_help_panel=PANEL,
    ),
]
ResizeOption = Annotated[
    str | None,
    typer.Option(
        help="How pictures get the model's size: squash (the default), crop or letterbox.",
        rich_help_panel=PANEL,
    ),
]
CropPctOption = Annotated[
    float | None,
    typer.Option(
        "--crop-pct",
        help="Side of a crop over the picture's shorter side. Default: 0.875",
        rich_help_panel=PANEL,
    ),
]


def input_options(
    preprocess: str | None,
    mean: str | None,
    std: str | None,
    scale: str | None,
    resize: str | None,
    crop_pct: float | None,
) -> dict[str, Any]:
    """The options above as export, import_onnx and train take them.

    Raises:
        InputError: one of the numbers is none.
    """
    return {
        "preprocess": preprocess,
        "mean": numbers("--mean", mean),
        "std": numbers("--std", std),
        "scale": None if scale is None else number("--scale", scale),
        "resize": resize,
        "crop_pct": crop_pct,
    }


def numbers(name: str, text: str | None) -> list[float] | None:
    """Numbers with commas between; a fraction such as ``1/255`` is one.

    Raises:
        InputError: one of them is no number.
    """
    return None if text is None else [number(name, part) for part in text.split(",")]


def number(name: str, text: str) -> float:
    """``0.5``, or a fraction such as ``1/255``. Raises InputError for what is no number."""
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"{name} got '{text}'; expected a number such as 0.5, or a fraction such as 1/255."
        ) from None

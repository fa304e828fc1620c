"""``edgevit train``: weights from an image folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.cli.options import LoaderThreadsOption, require_modules

if TYPE_CHECKING:
    from edgevit.training.data import ImageFolder

_HELD_OUT_SHARE = 0.1


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
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Of weights, order and augmentation.")
    ] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on exactly where the run stopped.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: LoaderThreadsOption = None,
) -> None:
    """Train a model on an image folder; leaves MODEL.safetensors for 'edgevit export'."""
    require_modules("edgevit train", "train", ("torch", "safetensors"))
    from edgevit.progress import progress_for_stderr
    from edgevit.registry import find
    from edgevit.report import print_table
    from edgevit.training.hardware import prepare
    from edgevit.training.loop import TrainingJob
    from edgevit.training.loop import train as train_model
    from edgevit.training.recipe import Recipe

    spec = find(model).spec
    training, validation = _folders(data, val_data, seed)
    chosen, used_threads = prepare(device, threads)
    recipe = Recipe(epochs=epochs, batch=batch, learning_rate=learning_rate, seed=seed)
    run = output or Path("runs") / spec.name
    job = TrainingJob(spec, training, validation, recipe, run, chosen, used_threads)
    result = train_model(job, progress_for_stderr(), resume)
    rows = [
        ("weights", str(result.weights)),
        ("best top-1", f"{100 * result.top1:.2f} % of {len(validation)} validation images"),
        ("training", f"{len(training)} images, {result.epochs} epochs, {result.seconds:.0f} s"),
        ("next", f"edgevit export --model {spec.name} --checkpoint {result.weights}"),
    ]
    print_table(f"trained {spec.name} on {chosen}", ("", ""), rows)


def _folders(data: Path, val_data: Path | None, seed: int) -> tuple[ImageFolder, ImageFolder]:
    from edgevit.training.data import ImageFolder

    split = data / "train"
    if val_data is not None:
        return ImageFolder.open(split if split.is_dir() else data), ImageFolder.open(val_data)
    if split.is_dir() and (data / "val").is_dir():
        return ImageFolder.open(split), ImageFolder.open(data / "val")
    training, validation = ImageFolder.open(data).hold_out(_HELD_OUT_SHARE, seed)
    typer.echo(f"no validation images given: a tenth of {data} is held out", err=True)
    return training, validation

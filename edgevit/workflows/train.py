"""Weights from a folder of pictures."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.images.image_folder import ImageFolder, open_image_folder, refuse_same_pictures
from edgevit.workflows.dense.dense_run import DenseRun
from edgevit.workflows.dense.train_detector import detection_recipe, train_detector
from edgevit.workflows.dense.train_segmenter import (
    SegmentationData,
    segmentation_recipe,
    train_segmenter,
)
from edgevit.zoo.registry import DEFAULT_MODEL, ModelEntry, find

if TYPE_CHECKING:
    from edgevit.training.recipe import Recipe

_HELD_OUT_SHARE = 0.1
_MODULES = ("torch", "safetensors", "matplotlib")


@dataclass(frozen=True)
class TrainResult(Result):
    """model: its name. weights: float16 safetensors of the best epoch, in the folder ``run``.

    top1: its accuracy on the validation images, 0 to 1. device: ``cpu`` or ``cuda``.
    zoo_model: the model whose size was changed for training, if it was.
    """

    model: str
    zoo_model: str
    weights: Path
    run: Path
    top1: float
    epochs: int
    seconds: float
    training_images: int
    validation_images: int
    device: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "weights": str(self.weights),
            "run": str(self.run),
            "top1": round(self.top1, 5),
            "epochs": self.epochs,
            "seconds": round(self.seconds, 1),
            "training_images": self.training_images,
            "validation_images": self.validation_images,
            "device": self.device,
            "next": self._next,
        }

    def sections(self) -> list[Section]:
        took = f"{self.epochs} epochs, {self.seconds:.0f} s"
        rows = [
            ("weights", str(self.weights)),
            (
                "best top-1",
                f"{100 * self.top1:.2f} % of {self.validation_images} validation images",
            ),
            ("training", f"{self.training_images} images, {took}"),
            ("curves", str(self.run / "curves.png")),
            ("next", self._next),
        ]
        return [Table(f"trained {self.model} on {self.device}", ("", ""), rows)]

    @property
    def _next(self) -> str:
        """Weights of another size are a start, not a model to export."""
        weights = quote(str(self.weights))
        if self.model != self.zoo_model:
            return f"edgevit train --model {self.zoo_model} --init {weights} --data IMAGES"
        return f"edgevit export --model {self.model} --checkpoint {weights}"


def train(
    model: str = DEFAULT_MODEL,
    *,
    data: Path | str,
    val_data: Path | str | None = None,
    output: Path | str | None = None,
    recipe: Recipe | None = None,
    teacher: str | Path | None = None,
    init: Path | str | None = None,
    weights_key: str | None = None,
    image_px: int | None = None,
    skip_corrupt: bool = False,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    void: int | None = None,
    classes: Path | str | None = None,
    progress: Progress | None = None,
    **recipe_options: Any,
) -> Result:
    """Trains a model of the zoo; leaves ``MODEL.safetensors`` for export.

    Args:
        data: one folder of pictures for every class, or a folder with such folders as ``train``
            and ``val``. Of a detector: pictures with boxes, Pascal VOC or COCO.
        val_data: validation pictures; by default ``DATA/val``, or a tenth of ``data``.
        output: the run's folder, by default ``runs/MODEL``.
        recipe: all numbers of the training; by default those of
            :class:`edgevit.training.recipe.Recipe`.
        recipe_options: fields of the recipe that differ from it, such as ``epochs=20``.
        teacher: distil from a bundle that knows the classes, or from ``efficientnet_lite0``.
        init: start from these weights, of any image size and classes: a file, or weights that the
            package ships, ``MODEL`` or ``MODEL:WEIGHTS``.
        weights_key: of an ``init`` with several sets of weights, which to take; by default their
            moving average, if there is one.
        image_px: train at another size, as a start for ``init``.
        skip_corrupt: leave damaged pictures out, and say which, instead of stopping.
        resume: go on exactly where the run stopped.
        device: ``auto``, ``cpu`` or ``cuda``. threads: of torch and of the loader.
        void, classes: of a segmentation model (``data`` then holds ``images`` and ``labels``): a
            label that is not counted, beside 255, and a file with the names of the classes, a line
            each; by default ``DATA/classes.txt``. Its recipe is
            :class:`edgevit.training.dense.segmentation_recipe.SegmentationRecipe`.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: data, recipe, teacher or weights cannot be used.
        TrainingInterruptedError: on Ctrl-C, after the state was saved.
    """
    require_modules("edgevit train", "train", _MODULES)
    from edgevit.training.hardware import prepare
    from edgevit.training.loop import TrainingJob
    from edgevit.training.loop import train as run_training
    from edgevit.workflows.teacher_bundle import open_teacher

    progress = progress or SilentProgress()
    _refuse_key_without_weights(weights_key, init)
    entry = find(model)
    if entry.chosen is not None:
        raise InputError(
            f"'{model}' names weights, but --model names what is trained. Use "
            f"--model {entry.spec.name} --init {model}."
        )
    start = None if init is None else _initial_weights(init)
    spec = entry.spec
    if image_px is not None and image_px != spec.image_px:
        spec = spec.at_size(image_px)
    run = Path(output) if output else Path("runs") / spec.name
    if spec.task != "classification":
        _refuse_recipe(teacher, recipe)
        where = DenseRun(
            spec, run, start or _usual_start(entry), weights_key, resume, device, threads
        )
        labelled = _labelled(data, val_data, void, classes, skip_corrupt)
        return _train_dense(where, labelled, recipe_options, progress)
    chosen = _recipe(recipe, recipe_options)
    device, loader_threads = prepare(device, threads)
    training, validation = (
        folder.readable(skip_corrupt, loader_threads, progress)
        for folder in _folders(Path(data), val_data, chosen.seed, progress)
    )
    named = None if teacher is None else str(teacher)
    with open_teacher(named, loader_threads, progress) if named else nullcontext() as opened:
        job = TrainingJob(
            spec=spec,
            training=training,
            validation=validation,
            recipe=chosen,
            run=run,
            device=device,
            threads=loader_threads,
            teacher=opened,
            init=start,
            weights_key=weights_key,
        )
        trained = run_training(job, progress, resume)
    return TrainResult(
        model=spec.name,
        zoo_model=model,
        weights=trained.weights,
        run=job.run,
        top1=trained.top1,
        epochs=trained.epochs,
        seconds=trained.seconds,
        training_images=len(training),
        validation_images=len(validation),
        device=device,
    )


def _labelled(
    data: Path | str,
    val_data: Path | str | None,
    void: int | None,
    classes: Path | str | None,
    skip_corrupt: bool,
) -> SegmentationData:
    val_path, names = (None if path is None else Path(path) for path in (val_data, classes))
    return SegmentationData(Path(data), val_path, void, names, skip_corrupt)


def _train_dense(
    where: DenseRun, labelled: SegmentationData, options: dict[str, Any], progress: Progress
) -> Result:
    """A model that answers about places, by its task."""
    if where.spec.task == "segmentation":
        return train_segmenter(where, labelled, segmentation_recipe(options), progress)
    if labelled.void is not None or labelled.classes is not None:
        raise InputError("--void and --classes are for models that give masks. Leave them out.")
    recipe = detection_recipe(options)
    return train_detector(where, labelled.data, labelled.val_data, recipe, progress)


def _refuse_recipe(teacher: str | Path | None, recipe: Recipe | None) -> None:
    if teacher is not None:
        raise InputError("--teacher is for classifiers; this model learns from its labels.")
    if recipe is not None:
        raise InputError("A Recipe is for classifiers; give its fields, such as epochs=20.")


def _usual_start(entry: ModelEntry) -> Path | None:
    """The shipped weights of the backbone, where they are installed."""
    weights = find(entry.starts_from).weights if entry.starts_from else None
    return weights if weights is not None and weights.is_file() else None


def _initial_weights(init: Path | str) -> Path:
    """A file, or the name of weights that the package ships."""
    path = Path(init)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    entry = find(str(init))
    if entry.weights is None:
        raise InputError(f"edgevit ships no weights of {init}. Give a file, or other weights.")
    return entry.weights


def _refuse_key_without_weights(weights_key: str | None, init: Path | str | None) -> None:
    if weights_key is not None and init is None:
        raise InputError("--weights-key chooses among the weights in --init. Give one.")


def _recipe(recipe: Recipe | None, options: dict[str, Any]) -> Recipe:
    from dataclasses import fields, replace

    from edgevit.training.recipe import Recipe

    known = {field.name for field in fields(Recipe)}
    if unknown := sorted(set(options) - known):
        raise InputError(
            f"A recipe has no {', '.join(unknown)}; it has {', '.join(sorted(known))}."
        )
    return replace(recipe or Recipe(), **options)


def _folders(
    data: Path, val_data: Path | str | None, seed: int, progress: Progress
) -> tuple[ImageFolder, ImageFolder]:
    """(training, validation); no picture is in both."""
    split = data / "train"
    everything = split if split.is_dir() else data
    inside = split.is_dir() and (data / "val").is_dir()
    validation_folder = Path(val_data) if val_data else data / "val" if inside else None
    training = open_image_folder(everything, progress)
    if validation_folder is None:
        progress.line(f"no validation images given: a tenth of {everything} is held out")
        return training.hold_out(_HELD_OUT_SHARE, seed)
    validation = open_image_folder(validation_folder, progress)
    refuse_same_pictures(
        training,
        validation,
        "of the validation images are among the training images",
        "A model must be validated on images that it was not trained on. Give others, or leave out "
        "--val-data and a tenth is held out.",
    )
    return training, validation

"""Weights of a detector from pictures with labelled boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress
from edgevit.images.data_folders import training_folders
from edgevit.images.image_folder import refuse_same_pictures
from edgevit.images.labelled_boxes.box_folder import BoxFolder, open_box_folder
from edgevit.workflows.dense.dense_run import (
    HELD_OUT_SHARE,
    DenseRun,
    DenseTrainResult,
    SetSizes,
)

if TYPE_CHECKING:
    from edgevit.training.dense.detection_recipe import DetectionRecipe


@dataclass(frozen=True)
class DetectionTrainResult(DenseTrainResult):
    metric: ClassVar[str] = "AP50"
    metric_key: ClassVar[str] = "ap50"

    @property
    def ap50(self) -> float:
        """AP50 of the best epoch, 0 to 1."""
        return self.best


def train_detector(
    run: DenseRun,
    data: Path,
    val_data: Path | None,
    recipe: DetectionRecipe,
    progress: Progress,
) -> DetectionTrainResult:
    """Checks the boxes, trains, and leaves the weights of the best epoch.

    Args:
        data: pictures with boxes (Pascal VOC or COCO), or a folder with such folders as ``train``
            and ``val``. val_data: validation pictures; None: ``DATA/val``, or a tenth of ``data``.

    Raises:
        InputError: pictures, boxes or weights cannot be used.
        MissingExtraError: pycocotools is not installed.
        TrainingInterruptedError: on Ctrl-C, after the state was saved.
    """
    require_modules("Training a detector", "detect", ("pycocotools",))
    from edgevit.training.dense.detection_loop import DetectionJob
    from edgevit.training.dense.detection_loop import train_detector as train_boxes
    from edgevit.training.hardware import prepare

    device, threads = prepare(run.device, run.threads)
    training, validation = _folders(data, val_data, recipe.seed, progress)
    job = DetectionJob(
        spec=run.spec.with_classes(len(training.classes)),
        training=training,
        validation=validation,
        recipe=recipe,
        run=run.run,
        device=device,
        threads=threads,
        init=run.init,
        weights_key=run.weights_key,
    )
    state = train_boxes(job, progress, run.resume)
    return DetectionTrainResult(
        model=run.spec.name,
        weights=job.weights,
        run=run.run,
        best=state.best_top1,
        epochs=state.epoch,
        seconds=state.seconds,
        training_images=len(training),
        validation_images=len(validation),
        device=device,
    )


def detector_sizes(
    data: Path, val_data: Path | None, recipe: DetectionRecipe, progress: Progress
) -> SetSizes:
    """What there is to train with; boxes are read, pictures are not.

    Raises:
        InputError: pictures or boxes cannot be used.
    """
    training, validation = _folders(data, val_data, recipe.seed, progress)
    classes = len(training.classes)
    return SetSizes(classes, len(training), len(validation), recipe.epochs, recipe.batch)


def _folders(
    data: Path, val_data: Path | None, seed: int, progress: Progress
) -> tuple[BoxFolder, BoxFolder]:
    """(training, validation); no picture is in both, and each has objects."""
    everything, chosen = training_folders(data, val_data)
    training = open_box_folder(everything, progress)
    if chosen is not None:
        validation = open_box_folder(chosen, progress, training.classes)
        refuse_same_pictures(
            training,
            validation,
            "of the validation pictures are among the training pictures",
            "Give others, or leave out --val-data and a tenth is held out.",
        )
    else:
        progress.line(f"no validation pictures given: a tenth of {everything} is held out")
        training, validation = _held_out(training, seed)
    for folder, what in ((training, "training"), (validation, "validation")):
        if not folder.boxes:
            raise InputError(
                f"None of the {len(folder)} {what} pictures has an object. Give labelled ones."
            )
    return training, validation


def _held_out(folder: BoxFolder, seed: int) -> tuple[BoxFolder, BoxFolder]:
    if len(folder) < 2:
        raise InputError(
            f"{folder.root} has {len(folder)} usable picture; at least two are needed, one of them "
            "to validate. Add pictures, or give others with --val-data."
        )
    order = np.random.default_rng(seed).permutation(len(folder)).tolist()
    held = max(1, round(HELD_OUT_SHARE * len(folder)))
    return folder.part(sorted(order[held:])), folder.part(sorted(order[:held]))


def detection_recipe(options: dict[str, Any]) -> DetectionRecipe:
    """The usual recipe with some of its fields changed, by name.

    Fields of :class:`edgevit.training.dense.detection_augmentation.DetectionAugmentation` are taken
    too.
    """
    from dataclasses import fields

    from edgevit.training.dense.detection_augmentation import DetectionAugmentation
    from edgevit.training.dense.detection_recipe import DetectionRecipe

    looks = {field.name for field in fields(DetectionAugmentation)}
    known = {field.name for field in fields(DetectionRecipe)} - {"augmentation"}
    if unknown := sorted(set(options) - known - looks):
        raise InputError(
            f"A detector's recipe has no {', '.join(unknown)}; it has "
            f"{', '.join(sorted(known | looks))}."
        )
    augmentation = {name: value for name, value in options.items() if name in looks}
    rest = {name: value for name, value in options.items() if name in known}
    return DetectionRecipe(**rest, augmentation=DetectionAugmentation(**augmentation))

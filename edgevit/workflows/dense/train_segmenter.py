"""Weights of a segmenter from labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgevit.common.errors import InputError
from edgevit.common.progress import Progress
from edgevit.common.untrusted.bounded import read_text
from edgevit.images.data_folders import training_folders
from edgevit.images.image_folder import refuse_label
from edgevit.images.labelled_masks.mask_folder import MaskFolder, open_mask_folder
from edgevit.workflows.dense.dense_run import (
    HELD_OUT_SHARE,
    DenseRun,
    DenseTrainResult,
    SetSizes,
)

if TYPE_CHECKING:
    from edgevit.training.dense.segmentation_recipe import SegmentationRecipe

CLASSES_FILE = "classes.txt"
_MOST_NAMES_BYTES = 1 << 20


@dataclass(frozen=True)
class SegmentationTrainResult(DenseTrainResult):
    metric: ClassVar[str] = "mIoU"
    metric_key: ClassVar[str] = "miou"

    @property
    def miou(self) -> float:
        """Mean intersection over union of the best epoch, 0 to 1."""
        return self.best


@dataclass(frozen=True)
class SegmentationData:
    """data: a folder with ``images`` and ``labels``, or with such folders as ``train``, ``val``.

    val_data: validation pictures; None: ``DATA/val``, or a tenth of ``data``.
    void: a label that is not counted, beside 255. classes: a file with a name a line; None:
    ``DATA/classes.txt``, or numbers.
    """

    data: Path
    val_data: Path | None = None
    void: int | None = None
    classes: Path | None = None
    skip_corrupt: bool = False


def train_segmenter(
    run: DenseRun, data: SegmentationData, recipe: SegmentationRecipe, progress: Progress
) -> SegmentationTrainResult:
    """Checks the labels, trains, and leaves the weights of the best epoch.

    Raises:
        InputError: pictures, labels, classes or weights cannot be used.
        TrainingInterruptedError: on Ctrl-C, after the state was saved.
    """
    from edgevit.training.dense.segmentation_loop import SegmentationJob, train_segmentation
    from edgevit.training.hardware import prepare

    device, threads = prepare(run.device, run.threads)
    names = _class_names(data)
    count = None if names is None else len(names)
    first, second = _folders(data, recipe.seed, progress)
    training, pixels = first.checked(count, data.skip_corrupt, threads, progress)
    if absent := [str(place) for place, found in enumerate(pixels) if not found]:
        progress.line(f"note: no training pixel has the label {', '.join(absent)}")
    names = names or tuple(f"class {label}" for label in range(len(pixels)))
    validation, _ = second.checked(len(names), data.skip_corrupt, threads, progress)
    job = SegmentationJob(
        spec=run.spec,
        training=training,
        validation=validation,
        classes=names,
        pixels=pixels,
        recipe=recipe,
        run=run.run,
        device=device,
        threads=threads,
        init=run.init,
        weights_key=run.weights_key,
    )
    trained = train_segmentation(job, progress, run.resume)
    return SegmentationTrainResult(
        run.spec.name,
        trained.weights,
        run.run,
        trained.miou,
        trained.epochs,
        trained.seconds,
        len(training),
        len(validation),
        device,
    )


def segmenter_sizes(
    data: SegmentationData, recipe: SegmentationRecipe, progress: Progress
) -> SetSizes:
    """What there is to train with; labels are listed, not read.

    Raises:
        InputError: pictures, labels or names of classes cannot be used.
    """
    names = _class_names(data)
    training, validation = _folders(data, recipe.seed, progress)
    count = None if names is None else len(names)
    return SetSizes(count, len(training), len(validation), recipe.epochs, recipe.batch)


def segmentation_recipe(options: dict[str, Any]) -> SegmentationRecipe:
    """A recipe with some fields of its own.

    Raises:
        InputError: it has no such field.
    """
    from edgevit.training.dense.segmentation_recipe import SegmentationRecipe

    known = SegmentationRecipe.names()
    if unknown := sorted(set(options) - known):
        raise InputError(
            f"A segmentation recipe has no {', '.join(unknown)}; it has {', '.join(sorted(known))}."
        )
    return SegmentationRecipe(**options)


def _class_names(data: SegmentationData) -> tuple[str, ...] | None:
    """Names by label, or None where no file says them."""
    file = data.classes or data.data / CLASSES_FILE
    if data.classes is None and not file.is_file():
        return None
    lines = read_text(file, _MOST_NAMES_BYTES, "classes").splitlines()
    names = tuple(line.strip() for line in lines if line.strip())
    for name in names:
        refuse_label(name, str(file))
    if len(names) < 2 or len(set(names)) != len(names):
        raise InputError(
            f"{file} names {len(names)} classes, {len(set(names))} of them different; expected two "
            "or more, each once, a name a line in the order of the labels."
        )
    return names


def _folders(
    data: SegmentationData, seed: int, progress: Progress
) -> tuple[MaskFolder, MaskFolder]:
    """(training, validation)."""
    everything, validation = training_folders(data.data, data.val_data)
    training = open_mask_folder(everything, data.void, progress)
    if validation is None:
        progress.line(f"no validation pictures given: a tenth of {everything} is held out")
        return training.hold_out(HELD_OUT_SHARE, seed)
    return training, open_mask_folder(validation, data.void, progress)

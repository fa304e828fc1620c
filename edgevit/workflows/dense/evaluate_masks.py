"""Masks of a deployed model against labels, at the pictures' own size."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevit.bundle.bundle import Bundle
from edgevit.common.progress import Progress
from edgevit.images import image_io
from edgevit.images.data_folders import validation_folder
from edgevit.images.labelled_masks.mask_folder import MaskFolder, open_mask_folder
from edgevit.images.picture_set import set_name
from edgevit.inference.dense.letterbox import mask_in_picture
from edgevit.inference.dense.segmentation_metrics import (
    SegmentationAccuracy,
    at_borders,
    confusion_of,
)
from edgevit.results.dense.segmentation_result import SegmentationResult
from edgevit.workflows.trained_pictures import ALL, chosen_files
from edgevit.zoo.tasks import MASK, VOID

if TYPE_CHECKING:
    from edgevit_runtimes.backends.classifier import BundleClassifier


@dataclass(frozen=True)
class MaskEvaluation:
    """variant: None: the one that is chosen here. void: a label that is not counted, beside 255;

    None: the one that the model was trained without, if any.
    """

    variant: str | None = None
    threads: int = 1
    void: int | None = None
    skip_corrupt: bool = False
    split: str = ALL


def evaluate_masks(
    bundle: Bundle, data: Path, options: MaskEvaluation, progress: Progress
) -> SegmentationResult:
    """Answers every labelled picture of a folder, or of its ``val``.

    Raises:
        InputError: pictures or labels cannot be used.
    """
    from edgevit_runtimes.backends.classifier import BundleClassifier
    from edgevit_runtimes.bench.conditions import runtime_label

    root = validation_folder(data)
    every = open_mask_folder(root, trained_void(bundle, options.void), progress)
    opened = chosen_files(bundle, every, options.split, progress)
    count = len(bundle.manifest.classes)
    folder, _ = opened.checked(count, options.skip_corrupt, options.threads, progress)
    started = time.perf_counter()
    with BundleClassifier(bundle, options.variant, options.threads) as model:
        accuracy, seconds = _answered(model, folder, progress)
        used = model.variant
    return SegmentationResult(
        bundle=bundle,
        variant=used,
        data=data,
        accuracy=accuracy,
        picture_set=folder.identity(set_name(root)),
        runtime=runtime_label(bundle, used),
        threads=options.threads,
        inference_seconds=seconds,
        total_seconds=time.perf_counter() - started,
        left_out={reason: len(files) for reason, files in opened.left_out.items()},
    )


def trained_void(bundle: Bundle, void: int | None) -> int | None:
    """The label that is not counted: as asked for, or as in training."""
    said = bundle.manifest.model.notes.get("void", "")
    if void is not None or not said.isdecimal():
        return void
    return int(said)


def _answered(
    model: BundleClassifier, folder: MaskFolder, progress: Progress
) -> tuple[SegmentationAccuracy, float]:
    """What was found, and the seconds of inference alone."""
    manifest = model.bundle.manifest
    count, seconds, void = len(manifest.classes), 0.0, 0
    confusion, borders = np.zeros((2, count, count), np.int64)
    with progress.bar("evaluate", len(folder)) as advance:
        for place in range(len(folder)):
            picture, labels = folder.pair(place)
            resized = image_io.resize(picture, manifest.preprocess)
            before = time.perf_counter()
            (outputs,) = model.outputs([resized], resized=True)
            seconds += time.perf_counter() - before
            height, width = picture.shape[:2]
            mask = mask_in_picture(outputs[MASK], height, width, manifest.preprocess)
            confusion += confusion_of(labels, mask, count)
            borders += confusion_of(at_borders(labels), mask, count)
            void += int((labels == VOID).sum())
            advance()
    accuracy = SegmentationAccuracy(confusion, borders, manifest.classes, len(folder), void)
    return accuracy, seconds

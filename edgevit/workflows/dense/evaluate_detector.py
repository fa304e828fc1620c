"""How good a deployed detector is: what it finds in a folder of pictures with labelled boxes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.bundle.bundle import Bundle
from edgevit.common.progress import Progress
from edgevit.images import image_io
from edgevit.images.data_folders import validation_folder
from edgevit.images.labelled_boxes.box_folder import BoxFolder, open_box_folder
from edgevit.images.picture_set import picture_set, set_name
from edgevit.inference.dense.detection_metrics import detection_accuracy
from edgevit.inference.dense.detections import Detections
from edgevit.results.dense.detection_evaluation import DetectionEvaluationResult
from edgevit.workflows.trained_pictures import chosen_files

if TYPE_CHECKING:
    from edgevit_runtimes.backends.classifier import BundleClassifier


def evaluate_detector(
    bundle: Bundle, data: Path, variant: str, threads: int, split: str, progress: Progress
) -> DetectionEvaluationResult:
    """Finds the objects of every picture in the runtime in which the model is deployed.

    Args:
        data: pictures with boxes (VOC or COCO), or a folder that has such a folder as ``val``.
        split: ``all`` of the pictures, or ``held-out``.

    Raises:
        InputError: the data cannot be used; see :func:`open_box_folder`.
        MissingExtraError: pycocotools is not installed.
    """
    from edgevit_runtimes.backends.classifier import BundleClassifier
    from edgevit_runtimes.bench.conditions import runtime_label

    root = validation_folder(data)
    every = open_box_folder(root, progress, bundle.manifest.classes)
    folder = chosen_files(bundle, every, split, progress)
    started = time.perf_counter()
    with BundleClassifier(bundle, variant, threads) as model:
        timed = list(_found(model, folder, progress))
    total = time.perf_counter() - started
    found = [detections for detections, _ in timed]
    return DetectionEvaluationResult(
        bundle=bundle,
        variant=variant,
        data=data,
        accuracy=detection_accuracy(found, folder.pictures, folder.classes),
        picture_set=picture_set(set_name(root), folder.files, folder.label_texts),
        runtime=runtime_label(bundle, variant),
        threads=threads,
        inference_seconds=sum(seconds for _, seconds in timed),
        total_seconds=total,
        left_out={reason: len(places) for reason, places in folder.findings.places.items()},
    )


def _found(
    model: BundleClassifier, folder: BoxFolder, progress: Progress
) -> Iterator[tuple[Detections, float]]:
    """What every picture shows, in its own pixels, and the seconds of its inference."""
    preprocess = model.bundle.manifest.preprocess
    with progress.bar("evaluate", len(folder)) as advance:
        for labelled in folder.pictures:
            resized = image_io.resize(image_io.read(labelled.file), preprocess)
            before = time.perf_counter()
            (outputs,) = model.outputs([resized], resized=True)
            seconds = time.perf_counter() - before
            found = Detections.of_outputs(outputs)
            yield found.in_picture(labelled.height, labelled.width, preprocess), seconds
            advance()

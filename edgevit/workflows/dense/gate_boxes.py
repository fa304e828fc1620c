"""Pictures with labelled boxes for the quantization gate of a detector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress
from edgevit.images.data_folders import training_folders, validation_folder
from edgevit.images.labelled_boxes.box_folder import open_box_folder
from edgevit.images.labelled_boxes.boxed_picture import BoxedPicture
from edgevit.images.resizing import seen_part
from edgevit.inference.calibration import FEWEST, Pictures, refuse_overlap
from edgevit.inference.dense.box_drop import packed_boxes
from edgevit.workflows.trained_pictures import warn_of_trained
from edgevit.zoo.interface.preprocess import Preprocess


def gate_boxes(
    bundle: Bundle,
    calibration: Path,
    evaluation: Path | None,
    count: int,
    seed: int,
    progress: Progress,
) -> tuple[Pictures, Pictures, NDArray[Any]]:
    """(to calibrate, to evaluate, the boxes of these as the model's input shows them).

    The boxes are packed as :mod:`edgevit.inference.dense.box_drop` says.

    Raises:
        InputError: too few pictures, or a picture would serve both.
    """
    manifest = bundle.manifest
    first = open_box_folder(training_folders(calibration, None)[0], progress, manifest.classes)
    order = np.random.default_rng(seed).permutation(len(first)).tolist()
    if evaluation is None:
        progress.line(f"no evaluation images given: half of {calibration} measures accuracy")
        half = len(first) // 2
        first, second = first.part(sorted(order[half:])), first.part(sorted(order[:half]))
        order = list(range(len(first)))
    else:
        second = open_box_folder(validation_folder(evaluation), progress, manifest.classes)
        refuse_overlap(first, second)
    warn_of_trained(bundle, second, progress)
    if len(first) < FEWEST or not second.boxes:
        raise InputError(
            f"The gate needs at least {FEWEST} pictures to calibrate and an object to evaluate on; "
            f"got {len(first)} pictures and {second.boxes} objects. Add some."
        )
    shown = [in_input(picture, manifest.preprocess) for picture in second.pictures]
    return (
        Pictures(first.part(order[:count]).files, manifest.preprocess),
        Pictures(second.files, manifest.preprocess),
        packed_boxes(shown),
    )


def in_input(picture: BoxedPicture, preprocess: Preprocess) -> BoxedPicture:
    """The same with its boxes in pixels of the model's input."""
    seen = seen_part(picture.height, picture.width, preprocess)
    corner, sides = np.array([seen.left, seen.top]), np.array([seen.width, seen.height])
    corners = (picture.boxes.reshape(-1, 2, 2) - corner) * (preprocess.size_px / sides)
    return replace(picture, boxes=np.asarray(corners.reshape(-1, 4), np.float32))

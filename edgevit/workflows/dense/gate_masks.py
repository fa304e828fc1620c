"""Labelled pictures for the quantization gate of a segmentation model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress
from edgevit.images.data_folders import training_folders, validation_folder
from edgevit.images.labelled_masks.mask_folder import Labels, open_mask_folder
from edgevit.images.resizing import seen_part
from edgevit.inference.calibration import FEWEST, Pictures, refuse_overlap
from edgevit.workflows.dense.evaluate_masks import trained_void
from edgevit.workflows.trained_pictures import warn_of_trained
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.tasks import VOID

_CALIBRATING = 0.5


def gate_masks(
    bundle: Bundle,
    calibration: Path,
    evaluation: Path | None,
    count: int,
    seed: int,
    progress: Progress,
) -> tuple[Pictures, Pictures, NDArray[np.integer]]:
    """(to calibrate, to evaluate, labels of these as the model's input shows them).

    The labels are uint8 [n, size, size]. Folders may hold ``train`` and ``val`` with pairs.

    Raises:
        InputError: too few pairs, some cannot be used, or a picture would serve both.
    """
    manifest, void = bundle.manifest, trained_void(bundle, None)
    first = open_mask_folder(training_folders(calibration, None)[0], void, progress)
    if evaluation is None:
        progress.line(f"no evaluation images given: half of {calibration} measures accuracy")
        first, second = first.hold_out(_CALIBRATING, seed)
    else:
        second = open_mask_folder(validation_folder(evaluation), void, progress)
        refuse_overlap(first, second)
    warn_of_trained(bundle, second, progress)
    if len(first) < FEWEST:
        raise InputError(
            f"Calibration needs at least {FEWEST} pictures; the folder has {len(first)}. Add some."
        )
    second, _ = second.checked(len(manifest.classes), False, 1, progress)
    chosen = np.random.default_rng(seed).permutation(len(first))[:count]
    labels = [labels_in_input(second.pair(k)[1], manifest.preprocess) for k in range(len(second))]
    return (
        Pictures(first.part(chosen).files, manifest.preprocess),
        Pictures(second.files, manifest.preprocess),
        np.stack(labels),
    )


def labels_in_input(labels: Labels, preprocess: Preprocess) -> Labels:
    """Labels of a picture as its input shows them, uint8 [size, size]; 255 beside a letterbox."""
    height, width = labels.shape
    seen, size = seen_part(height, width, preprocess), preprocess.size_px
    x_scale, y_scale = seen.width / size, seen.height / size
    # The middle of every pixel of the input, in the picture.
    matrix = np.array(
        [
            [x_scale, 0, seen.left + x_scale / 2 - 0.5],
            [0, y_scale, seen.top + y_scale / 2 - 0.5],
        ]
    )
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    shown = cv2.warpAffine(labels, matrix, (size, size), flags=flags, borderValue=VOID)
    return np.asarray(shown, np.uint8)

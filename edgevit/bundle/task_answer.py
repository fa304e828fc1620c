"""A model's outputs for one picture as the answer of its task, in the picture's own pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from edgevit.bundle.manifest import Manifest
from edgevit.inference.answers import softmax
from edgevit.inference.runner import Array
from edgevit.zoo.tasks import LOGITS, MASK

if TYPE_CHECKING:
    from edgevit.inference.dense.detections import Detections


class TaskAnswer(Struct, frozen=True):
    """probabilities: float32 [classes], what every class has.

    Of a classifier that is its probability, of a mask the share of the pixels, of a detector the
    best score. mask: uint8 [H, W]. detections: the objects.
    """

    probabilities: NDArray[np.float32]
    mask: NDArray[np.uint8] | None = None
    detections: Detections | None = None


def task_answer(
    outputs: Mapping[str, Array], height: int, width: int, manifest: Manifest
) -> TaskAnswer:
    """What the outputs say of a picture.

    Args:
        outputs: of one picture, without their batch dimension. height, width: of the picture.
    """
    classes = len(manifest.classes)
    if manifest.task == "segmentation":
        from edgevit.inference.dense.letterbox import mask_in_picture
        from edgevit.inference.dense.masks import class_shares

        mask = mask_in_picture(outputs[MASK], height, width, manifest.preprocess)
        return TaskAnswer(class_shares(mask, classes), mask=mask)
    if manifest.task == "detection":
        from edgevit.inference.dense.detections import Detections

        found = Detections.worth_showing(outputs, height, width, manifest.preprocess)
        return TaskAnswer(found.presence(classes), detections=found)
    return TaskAnswer(class_probabilities(outputs[LOGITS], manifest))


def class_probabilities(logits: NDArray[np.float32], manifest: Manifest) -> NDArray[np.float32]:
    """Of logits [classes], by the temperature that the bundle was calibrated with."""
    return softmax(logits / np.float32(manifest.temperature))

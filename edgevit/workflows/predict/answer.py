"""A model's outputs for one picture as the answer of its task, in the picture's own pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgevit.bundle.manifest import Manifest
from edgevit.inference.answers import softmax
from edgevit.inference.dense.detections import Detections
from edgevit.inference.dense.letterbox import mask_in_picture
from edgevit.inference.dense.masks import class_shares
from edgevit.inference.runner import Array
from edgevit.results.dense.box_prediction import BoxPrediction
from edgevit.results.dense.mask_prediction import MaskPrediction
from edgevit.results.prediction import Prediction
from edgevit.zoo.tasks import LOGITS, MASK


def answer_of(
    outputs: Mapping[str, Array], height: int, width: int, manifest: Manifest
) -> tuple[type[Prediction], dict[str, Any]]:
    """The type of the prediction, and the fields in which it differs from others.

    Args:
        outputs: of one picture, without their batch dimension. height, width: of the picture.
    """
    if manifest.task == "segmentation":
        mask = mask_in_picture(outputs[MASK], height, width, manifest.preprocess)
        shares = class_shares(mask, len(manifest.classes))
        return MaskPrediction, {"probabilities": shares, "mask": mask}
    if manifest.task == "detection":
        found = Detections.worth_showing(outputs, height, width, manifest.preprocess)
        presence = found.presence(len(manifest.classes))
        return BoxPrediction, {"probabilities": presence, "detections": found}
    logits = np.asarray(outputs[LOGITS], np.float32) / np.float32(manifest.temperature)
    return Prediction, {"probabilities": softmax(logits)}

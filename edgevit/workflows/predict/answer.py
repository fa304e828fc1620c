"""Which kind of prediction the outputs of a model for one picture are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevit.bundle.manifest import Manifest
from edgevit.bundle.task_answer import task_answer
from edgevit.inference.runner import Array
from edgevit.results.prediction import Prediction


def answer_of(
    outputs: Mapping[str, Array], height: int, width: int, manifest: Manifest
) -> tuple[type[Prediction], dict[str, Any]]:
    """The type of the prediction, and the fields in which it differs from others.

    Args:
        outputs: of one picture, without their batch dimension. height, width: of the picture.
    """
    answer = task_answer(outputs, height, width, manifest)
    common = {"probabilities": answer.probabilities}
    if answer.mask is not None:
        from edgevit.results.dense.mask_prediction import MaskPrediction

        return MaskPrediction, {**common, "mask": answer.mask}
    if answer.detections is not None:
        from edgevit.results.dense.box_prediction import BoxPrediction

        return BoxPrediction, {**common, "detections": answer.detections}
    return Prediction, common

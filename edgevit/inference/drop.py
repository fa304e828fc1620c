"""What a quantized form loses against the float model, in the metric of the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from edgevit.inference.accuracy import PairedDrop
from edgevit.inference.agreement import LabelledEvalSet, relative_logit_error
from edgevit.inference.dense.box_drop import BoxDrop, box_error
from edgevit.inference.dense.mask_agreement import mask_error
from edgevit.inference.dense.mask_drop import MaskDrop
from edgevit.inference.runner import Array
from edgevit.zoo.tasks import BOXES, LOGITS, MASK


class Drop(Protocol):
    """Both forms' answers to the same pictures, held against the labels."""

    @property
    def points(self) -> float:
        """Points of the metric that were lost, of a hundred; negative where it gained."""
        ...

    @property
    def interval(self) -> tuple[float, float]:
        """Where the drop lies with 95 % confidence, in points."""
        ...

    def to_json(self) -> dict[str, Any]: ...


def drop_of(evaluation: LabelledEvalSet, got: Mapping[str, Array]) -> Drop:
    """The drop from the expected outputs to others, for the same pictures."""
    expected, labels = evaluation.expected, evaluation.labels
    if MASK in expected:
        return MaskDrop.of(expected[MASK], got[MASK], labels)
    if BOXES in expected:
        return BoxDrop.of(expected, got, labels)
    return PairedDrop.of(expected[LOGITS], got[LOGITS], labels.astype(np.int64, copy=False))


def answer_error(expected: Mapping[str, Array], got: Mapping[str, Array]) -> float:
    """How far answers are from others, without labels: of logits their relative square error, of
    masks the share of the pixels that differ."""
    if MASK in expected:
        return mask_error(expected[MASK], got[MASK])
    if BOXES in expected:
        return box_error(expected, got)
    return relative_logit_error(expected[LOGITS], got[LOGITS])

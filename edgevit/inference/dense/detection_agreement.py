"""Whether two runners find the same objects in the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevit.inference.dense.detections import Detections

LEAST_SCORE = 0.05  # below this two objects may be the same guess in another order


@dataclass(frozen=True)
class DetectionAgreement:
    """objects: of both sides together. same: those that the other side has too.

    box_difference_px, score_difference: the largest among those that were paired.
    """

    objects: int
    same: int
    box_difference_px: float
    score_difference: float

    @property
    def share(self) -> float:
        """0 to 1; 1 where nobody found anything."""
        return self.same / self.objects if self.objects else 1.0


def agreement_of(
    expected: Sequence[Detections],
    got: Sequence[Detections],
    box_px: float,
    score: float,
    least_score: float = LEAST_SCORE,
) -> DetectionAgreement:
    """Pairs objects of one class whose sides differ by at most ``box_px`` and scores by ``score``.

    Objects below ``least_score`` are not asked for, but may be the partner of one above.
    """
    objects = same = 0
    largest_box = largest_score = 0.0
    for first, second in zip(expected, got, strict=True):
        for one, other in ((first, second), (second, first)):
            asked = one.above(least_score)
            sides, scores = _nearest(asked, other, score)
            paired = (sides <= box_px) & (scores <= score)
            objects, same = objects + len(asked), same + int(paired.sum())
            if paired.any():
                largest_box = max(largest_box, float(sides[paired].max()))
                largest_score = max(largest_score, float(scores[paired].max()))
    return DetectionAgreement(objects, same, largest_box, largest_score)


def _nearest(
    asked: Detections, among: Detections, score: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of every object its nearest of the same class: (largest difference of a side, of the score).

    Infinite where there is none.
    """
    if not len(among):
        return np.full(len(asked), np.inf), np.full(len(asked), np.inf)
    sides = np.abs(asked.boxes[:, None] - among.boxes[None]).max(axis=-1).astype(np.float64)
    scores = np.abs(asked.scores[:, None] - among.scores[None]).astype(np.float64)
    sides[(asked.labels[:, None] != among.labels[None]) | (scores > score)] = np.inf
    nearest = sides.argmin(axis=1)
    rows = np.arange(len(asked))
    return sides[rows, nearest], scores[rows, nearest]

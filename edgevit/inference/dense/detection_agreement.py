"""Whether two runners find the same objects in the same pictures.

Every object of one side is paired with the one of its class on the other side that overlaps it
most. Rounding moves boxes and scores a little, more so in lower precision, and an object may fall
below the least score on one side alone: so an object is asked for from a least score on, and its
partner may lie below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.inference.dense.detections import Detections, by_picture
from edgevit.inference.runner import Array

_LEAST_SCORE = 0.05


@dataclass(frozen=True)
class BoxLimits:
    """When two objects are the same, and how many must be.

    side_px: the largest difference of a side, in pixels of the model's input. overlap: the least
    IoU. score: the largest difference. share: of all objects, 0 to 1.
    """

    side_px: float
    overlap: float
    score: float
    share: float


# By what a variant computes in.
LIMITS = {
    "float32": BoxLimits(1.0, 0.0, 1e-3, 0.995),
    "float16": BoxLimits(math.inf, 0.9, 0.05, 0.98),
    "bfloat16": BoxLimits(math.inf, 0.8, 0.1, 0.95),
    "int8": BoxLimits(math.inf, 0.7, 0.2, 0.9),
}


@dataclass(frozen=True)
class BoxAgreement:
    """What a comparison of detections found.

    precision: what is compared computes in. objects: of both sides together. same: those that the
    other side has too. score_difference, overlap_loss (1 - IoU): the largest of those; mean_loss:
    the mean of 1 - (1 - score difference) IoU.
    membership_matches: pictures whose superpixels are all the same; all, where there are none.
    """

    precision: str
    images: int
    objects: int
    same: int
    score_difference: float
    overlap_loss: float
    membership_matches: int
    mean_loss: float = 0.0

    @property
    def share(self) -> float:
        """0 to 1; 1 where nobody found anything."""
        return self.same / self.objects if self.objects else 1.0

    @property
    def holds(self) -> bool:
        return not self.failures()

    def failures(self) -> list[str]:
        """What does not hold, as sentences."""
        least = LIMITS[self.precision].share
        if self.share >= least:
            return []
        return [
            f"{self.same} of {self.objects} objects are found by both; {100 * least:g} % must be"
        ]

    @property
    def text(self) -> str:
        return (
            f"{self.same} of {self.objects} objects in {self.images} pictures are found by both, "
            f"IoU at least {1 - self.overlap_loss:.3f}"
        )

    @property
    def answers_text(self) -> str:
        """For a column of a table."""
        return f"{100 * self.share:.2f} % of objects"

    @property
    def differences_text(self) -> tuple[str, str]:
        """Of the scores, the largest; a mean is not known."""
        return f"{self.score_difference:.2g}", ""

    def to_dict(self) -> dict[str, Any]:
        """As a manifest keeps an export's."""
        return {
            "images": self.images,
            "agreement": self.share,
            "objects": self.objects,
            "score_difference": self.score_difference,
            "overlap_loss": self.overlap_loss,
            "membership_matches": self.membership_matches,
        }

    def answers_dict(self) -> dict[str, Any]:
        """As a manifest keeps a variant's."""
        return {"precision": self.precision, **self.to_dict(), "holds": self.holds}


def compare_boxes(
    expected: Mapping[str, Array], got: Mapping[str, Array], precision: str, matches: int
) -> BoxAgreement:
    """Boxes, scores and classes of both, [n, N, ...] each, by name."""
    limits, sides = LIMITS[precision], (by_picture(expected), by_picture(got))
    objects = same = 0
    scores, losses = [0.0], [0.0]
    for first, second in zip(*sides, strict=True):
        for one, other in ((first, second), (second, first)):
            asked = one.above(_LEAST_SCORE)
            paired = _paired(asked, other, limits)
            objects, same = objects + len(asked), same + len(paired)
            scores += [score for score, _ in paired]
            losses += [1 - overlap for _, overlap in paired]
    both = 1 - (1 - np.asarray(scores[1:])) * (1 - np.asarray(losses[1:]))
    return BoxAgreement(
        precision=precision,
        images=len(sides[0]),
        objects=objects,
        same=same,
        score_difference=max(scores),
        overlap_loss=max(losses),
        membership_matches=matches,
        mean_loss=float(both.mean()) if len(both) else 0.0,
    )


def _paired(asked: Detections, among: Detections, limits: BoxLimits) -> list[tuple[float, float]]:
    """(difference of the scores, IoU) of every object that has a partner within the limits."""
    if not len(asked) or not len(among):
        return []
    overlaps = _overlaps(asked.boxes, among.boxes)
    moved = np.abs(asked.boxes[:, None] - among.boxes[None]).max(axis=-1)
    scores = np.abs(asked.scores[:, None] - among.scores[None])
    fits = asked.labels[:, None] == among.labels[None]
    fits &= (moved <= limits.side_px) & (scores <= limits.score) & (overlaps >= limits.overlap)
    nearest = np.where(fits, overlaps, -1.0).argmax(axis=1)
    rows = np.flatnonzero(fits.any(axis=1))
    return [(float(scores[row, nearest[row]]), float(overlaps[row, nearest[row]])) for row in rows]


def _overlaps(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """[N, 4] and [M, 4] to the IoU of every pair, [N, M]."""
    one, other = first[:, None].astype(np.float64), second[None].astype(np.float64)
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (one, other)]
    return np.asarray(common / np.maximum(areas[0] + areas[1] - common, 1e-9))

"""Accuracy before and after, paired on the same labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000


@dataclass(frozen=True)
class PairedDrop:
    """Float against quantized answers to the same pictures, bool [n] each: right or not."""

    float_right: NDArray[np.bool_]
    quantized_right: NDArray[np.bool_]
    same_answer: NDArray[np.bool_]

    @classmethod
    def of(
        cls, expected: NDArray[np.float32], got: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> PairedDrop:
        """From logits [n, classes] and labels [n]."""
        before, after = expected.argmax(axis=1), got.argmax(axis=1)
        return cls(before == labels, after == labels, before == after)

    @property
    def points(self) -> float:
        """Points of top-1 that were lost; negative where it gained."""
        lost = int(self.float_right.sum()) - int(self.quantized_right.sum())
        return 100 * lost / len(self.float_right)  # of whole counts: exact at the limit

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the drops of pictures drawn again with replacement (bootstrap), in points."""
        lost = self.float_right.astype(np.int8) - self.quantized_right
        rng = np.random.default_rng(0)
        picks = rng.integers(len(lost), size=(_RESAMPLES, len(lost)))
        low, high = np.percentile(100 * lost[picks].mean(axis=1), [2.5, 97.5])
        return float(low), float(high)

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            "images": len(self.float_right),
            "float_top1": round(float(self.float_right.mean()), 5),
            "top1": round(float(self.quantized_right.mean()), 5),
            "drop_points": round(self.points, 3),
            "drop_points_interval_95": [round(low, 3), round(high, 3)],
            "same_answer": round(float(self.same_answer.mean()), 5),
        }


def relative_error(expected: NDArray[np.float32], got: NDArray[np.float32]) -> float:
    """Square error of logits over their variance, both about each picture's mean logit.

    What shifts all logits of a picture alike changes no answer.
    """
    a = expected - expected.mean(axis=1, keepdims=True)
    b = got - got.mean(axis=1, keepdims=True)
    return float(((a - b) ** 2).sum() / max(float((a**2).sum()), 1e-30))

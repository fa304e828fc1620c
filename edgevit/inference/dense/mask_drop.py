"""Points of mIoU that a quantized form loses, with an interval over the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.inference.dense.segmentation_metrics import confusion_of, mean_iou
from edgevit.zoo.tasks import VOID

_RESAMPLES = 1000
_SEED = 0


@dataclass(frozen=True)
class MaskDrop:
    """Confusions int64 [n, classes, classes] of both forms, picture by picture.

    same_pixels: share of all pixels on which both answer the same, 0 to 1.
    """

    float_confusion: NDArray[np.int64]
    quantized_confusion: NDArray[np.int64]
    same_pixels: float

    @classmethod
    def of(
        cls, expected: NDArray[np.uint8], got: NDArray[np.uint8], labels: NDArray[Any]
    ) -> MaskDrop:
        """From masks and labels, uint8 [n, H, W]; labels of 255 are not counted."""
        counted = labels[labels != VOID]
        classes = 1 + max(int(counted.max(initial=0)), int(expected.max()), int(got.max()))
        classes = min(classes, VOID)
        before, after = (
            np.stack(
                [
                    confusion_of(np.asarray(label, np.uint8), mask, classes)
                    for label, mask in zip(labels, masks, strict=True)
                ]
            )
            for masks in (expected, got)
        )
        return cls(before, after, float((expected == got).mean()))

    @property
    def points(self) -> float:
        """Points of mIoU; negative where it gained."""
        before, after = self.float_confusion.sum(0), self.quantized_confusion.sum(0)
        return 100 * (mean_iou(before) - mean_iou(after))

    @property
    def interval(self) -> tuple[float, float]:
        """Bootstrap over the pictures, 2.5 and 97.5 %, in points; the same at every call."""
        count = len(self.float_confusion)
        rng = np.random.default_rng(_SEED)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
        before = np.tensordot(drawn, self.float_confusion, 1)
        after = np.tensordot(drawn, self.quantized_confusion, 1)
        points = [100 * (mean_iou(a) - mean_iou(b)) for a, b in zip(before, after, strict=True)]
        low, high = np.percentile(points, (2.5, 97.5))
        return float(low), float(high)

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            "metric": "mIoU",
            "images": len(self.float_confusion),
            "float_top1": round(mean_iou(self.float_confusion.sum(0)), 5),
            "top1": round(mean_iou(self.quantized_confusion.sum(0)), 5),
            "drop_points": round(self.points, 3),
            "drop_points_interval_95": [round(low, 3), round(high, 3)],
            "same_answer": round(self.same_pixels, 5),
        }

"""How good masks are: intersection over union, class by class, without void pixels.

IoU_c = right_c / (labelled_c + answered_c - right_c),   mIoU = mean over classes that occur

The same among pixels near borders of labels (a trimap, as in arXiv 1606.00915, section 4.3) says
how well outlines fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.zoo.tasks import VOID

BORDER_PX = 3  # how far a pixel may be from another label's to lie at a border


@dataclass(frozen=True)
class SegmentationAccuracy:
    """confusion: int64 [classes, classes], pixels by label (row) and answer (column).

    at_borders: the same of the pixels within :data:`BORDER_PX` of another label.
    images: how many pictures. void_pixels: those that were not counted.
    """

    confusion: NDArray[np.int64]
    at_borders: NDArray[np.int64]
    classes: tuple[str, ...]
    images: int
    void_pixels: int = 0

    @property
    def iou(self) -> NDArray[np.float64]:
        """float64 [classes], 0 to 1; NaN for a class that is neither labelled nor answered."""
        return iou_of(self.confusion)

    @property
    def miou(self) -> float:
        """The mean over classes that are labelled; 0 where there is none."""
        return mean_iou(self.confusion)

    @property
    def border_miou(self) -> float:
        """The same among the pixels at borders."""
        return mean_iou(self.at_borders)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the counted pixels that are right, 0 to 1."""
        return float(np.trace(self.confusion)) / max(1, int(self.confusion.sum()))

    def by_class(self) -> list[dict[str, Any]]:
        """Of every class: its share of the labelled pixels, IoU, recall and precision."""
        rows = []
        labelled, answered = self.confusion.sum(1), self.confusion.sum(0)
        total = max(1, int(labelled.sum()))
        for place, name in enumerate(self.classes):
            right = int(self.confusion[place, place])
            rows.append(
                {
                    "class": name,
                    "pixel_share": round(int(labelled[place]) / total, 5),
                    "iou": _share(right, int(labelled[place] + answered[place]) - right),
                    "recall": _share(right, int(labelled[place])),
                    "precision": _share(right, int(answered[place])),
                }
            )
        return rows

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "miou": round(self.miou, 5),
            "border_miou": round(self.border_miou, 5),
            "border_px": BORDER_PX,
            "pixel_accuracy": round(self.pixel_accuracy, 5),
            "void_pixels": self.void_pixels,
            "classes": self.by_class(),
            "confusion": {"labels": list(self.classes), "pixels": self.confusion.tolist()},
        }


def at_borders(labels: NDArray[np.uint8], reach_px: int = BORDER_PX) -> NDArray[np.uint8]:
    """The labels of the pixels within some distance of another label; 255 for all others.

    Void is no other label: where something ends nobody knows is no border.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1, 2 * reach_px + 1))
    void = labels == VOID
    highest = cv2.dilate(np.where(void, 0, labels).astype(np.uint8), disc)
    lowest = cv2.erode(labels, disc)  # void is the highest of all
    return np.where(highest != lowest, labels, np.uint8(VOID)).astype(np.uint8)


def confusion_of(
    labels: NDArray[np.uint8], mask: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """int64 [classes, classes] of label and mask of one shape; labels of 255 are not counted.

    A mask without an answer (255, where the model saw nothing) counts as none of the classes: it
    lowers the recall of what is labelled there.
    """
    counted = labels != VOID
    pairs = labels[counted].astype(np.int64) * 256 + mask[counted]
    whole = np.bincount(pairs, minlength=256 * 256).reshape(256, 256)
    return whole[:classes, :classes]


def iou_of(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 [..., classes] of confusions [..., classes, classes]; NaN where a class is absent."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    union = confusion.sum(-1) + confusion.sum(-2) - right
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = right / np.where(union > 0, union, np.nan)
    return found


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Over the classes that are labelled; 0 where there is none."""
    labelled = confusion.sum(-1) > 0
    return float(iou_of(confusion)[labelled].mean()) if labelled.any() else 0.0


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 5) if whole else None

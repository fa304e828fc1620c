"""How good detections are: COCO's average precision, computed by pycocotools."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.images.labelled_boxes.boxed_picture import BoxedPicture
from edgevit.inference.dense.detections import Detections

_AT_50 = 0  # the first of the ten IoU thresholds, 0.50 to 0.95
_ALL_AREAS, _HUNDRED = 0, -1  # places in pycocotools' table of precisions


@dataclass(frozen=True)
class ClassPrecision:
    """One class. boxes: how many there are. ap, ap50: 0 to 1; None where it has no boxes."""

    name: str
    boxes: int
    ap: float | None
    ap50: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "class": self.name,
            "boxes": self.boxes,
            "ap": None if self.ap is None else round(self.ap, 5),
            "ap50": None if self.ap50 is None else round(self.ap50, 5),
        }


@dataclass(frozen=True)
class DetectionAccuracy:
    """images, boxes: what it was measured on. by_class: in the order of the classes."""

    images: int
    boxes: int
    by_class: tuple[ClassPrecision, ...]

    @property
    def ap(self) -> float:
        """Mean over the classes that occur of the average precision at IoU 0.50 to 0.95."""
        return float(np.mean([each.ap for each in self.by_class if each.ap is not None]))

    @property
    def ap50(self) -> float:
        """The same at IoU 0.50 alone."""
        return float(np.mean([each.ap50 for each in self.by_class if each.ap50 is not None]))

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "boxes": self.boxes,
            "ap": round(self.ap, 5),
            "ap50": round(self.ap50, 5),
            "classes": [each.to_json() for each in self.by_class],
        }


def detection_accuracy(
    found: Sequence[Detections], truth: Sequence[BoxedPicture], classes: Sequence[str]
) -> DetectionAccuracy:
    """Compares detections with the labelled boxes of the same pictures, both in their pixels.

    Boxes that are marked as ignored count neither as found nor as missed.

    Raises:
        MissingExtraError: pycocotools is not installed.
        InputError: no picture has a box that counts.
    """
    require_modules("Measuring a detector", "detect", ("pycocotools",))
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = _annotations(truth)
    boxes_of = np.bincount(
        [each["category_id"] for each in annotations if not each["iscrowd"]],
        minlength=len(classes),
    )
    if not boxes_of.any():
        raise InputError(
            f"None of the {len(truth)} pictures has a labelled object: there is no precision to "
            "measure. Give pictures with objects."
        )
    with redirect_stdout(io.StringIO()):  # pycocotools reports on standard output
        known = COCO()
        known.dataset = {
            "images": [{"id": number} for number in range(len(truth))],
            "categories": [{"id": place, "name": name} for place, name in enumerate(classes)],
            "annotations": annotations,
        }
        known.createIndex()
        run = COCOeval(known, _results(known, found, len(truth)), "bbox")
        run.evaluate()
        run.accumulate()
    # [thresholds, recalls, classes, areas, most detections]; -1 where a class does not occur
    precision = run.eval["precision"][:, :, :, _ALL_AREAS, _HUNDRED]
    rows = [
        ClassPrecision(
            name,
            int(boxes_of[place]),
            *(
                (float(precision[:, :, place].mean()), float(precision[_AT_50, :, place].mean()))
                if boxes_of[place]
                else (None, None)
            ),
        )
        for place, name in enumerate(classes)
    ]
    return DetectionAccuracy(len(truth), int(boxes_of.sum()), tuple(rows))


def _annotations(truth: Sequence[BoxedPicture]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, picture in enumerate(truth):
        for box, label, ignored in zip(picture.boxes, picture.labels, picture.ignored, strict=True):
            left, top, right, bottom = map(float, box)
            rows.append(
                {
                    "id": len(rows) + 1,
                    "image_id": number,
                    "category_id": int(label),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": int(ignored),
                }
            )
    return rows


def _results(known: Any, found: Sequence[Detections], pictures: int) -> Any:
    """As pycocotools wants them, [rows, 7]: picture, left, top, width, height, score, class."""
    from pycocotools.coco import COCO

    if len(found) != pictures:
        raise ValueError(f"detections of {len(found)} pictures, boxes of {pictures}")
    parts = [
        np.column_stack(
            [
                np.full(len(each), number),
                each.boxes[:, :2],
                each.boxes[:, 2:] - each.boxes[:, :2],
                each.scores,
                each.labels,
            ]
        ).astype(np.float64)
        for number, each in enumerate(found)
        if len(each)
    ]
    if parts:
        return known.loadRes(np.concatenate(parts))
    nothing = COCO()  # loadRes cannot take an empty list
    nothing.dataset = {**known.dataset, "annotations": []}
    nothing.createIndex()
    return nothing

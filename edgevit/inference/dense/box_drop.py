"""Points of AP50 that a quantized form loses, with an interval over the pictures.

Labels travel as one array, float32 [n, M, 6]: the four sides of a box in pixels of the model's
input, its class, and what it is: 1 an object, 2 an object that does not count, 0 no object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.images.labelled_boxes.boxed_picture import BoxedPicture
from edgevit.inference.dense.detection_agreement import compare_boxes
from edgevit.inference.dense.detection_metrics import detection_accuracy
from edgevit.inference.dense.detections import Detections, by_picture
from edgevit.inference.runner import Array

_GROUPS = 20  # of the jackknife
_NORMAL_95 = 1.96
_OBJECT, _IGNORED = 1.0, 2.0


def packed_boxes(pictures: Sequence[BoxedPicture]) -> NDArray[np.float32]:
    """Labelled boxes as one array, see above; ``boxes`` must be in the model's pixels."""
    most = max((len(picture.labels) for picture in pictures), default=0)
    packed = np.zeros((len(pictures), max(1, most), 6), np.float32)
    for row, picture in zip(packed, pictures, strict=True):
        count = len(picture.labels)
        row[:count, :4], row[:count, 4] = picture.boxes, picture.labels
        row[:count, 5] = np.where(picture.ignored, _IGNORED, _OBJECT)
    return packed


def _unpacked(packed: NDArray[Any]) -> list[BoxedPicture]:
    rows = [row[row[:, 5] > 0] for row in packed]
    return [
        BoxedPicture(
            Path(str(number)),
            0,
            0,
            np.asarray(row[:, :4], np.float32),
            np.asarray(row[:, 4], np.int64),
            row[:, 5] == _IGNORED,
        )
        for number, row in enumerate(rows)
    ]


@dataclass(frozen=True)
class BoxDrop:
    """What both forms find in the same labelled pictures.

    same_objects: share of the objects that both find, 0 to 1.
    """

    float_found: Sequence[Detections]
    quantized_found: Sequence[Detections]
    truth: Sequence[BoxedPicture]
    same_objects: float

    @classmethod
    def of(
        cls, expected: Mapping[str, Array], got: Mapping[str, Array], labels: NDArray[Any]
    ) -> BoxDrop:
        """From the outputs of both, [n, N, ...] by name, and labels as :func:`packed_boxes`."""
        same = compare_boxes(expected, got, "int8", len(labels)).share
        return cls(by_picture(expected), by_picture(got), _unpacked(labels), same)

    @cached_property
    def _ap50(self) -> tuple[float, float]:
        return self._ap50_without([])

    @property
    def points(self) -> float:
        """Points of AP50; negative where it gained."""
        before, after = self._ap50
        return 100 * (before - after)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Jackknife over groups of pictures, 95 %, in points."""
        order = np.random.default_rng(0).permutation(len(self.truth))
        groups = [part.tolist() for part in np.array_split(order, min(_GROUPS, len(order)))]
        drops = [100 * (a - b) for a, b in (self._ap50_without(part) for part in groups)]
        spread = np.square(np.asarray(drops) - np.mean(drops)).sum()
        reach = _NORMAL_95 * float(np.sqrt((len(groups) - 1) / len(groups) * spread))
        return self.points - reach, self.points + reach

    def _ap50_without(self, left_out: Sequence[int]) -> tuple[float, float]:
        """(float, quantized) on the other pictures."""
        kept = sorted(set(range(len(self.truth))) - set(left_out))
        truth = [self.truth[place] for place in kept]
        if not any((~picture.ignored).any() for picture in truth):
            return self._ap50
        sides = [self.float_found, self.quantized_found]
        classes = [str(place) for place in range(self._classes)]
        before, after = (
            detection_accuracy([side[place] for place in kept], truth, classes).ap50
            for side in sides
        )
        return before, after

    @cached_property
    def _classes(self) -> int:
        labels = [*(p.labels for p in self.truth), *(f.labels for f in self.float_found)]
        labels += [found.labels for found in self.quantized_found]
        return 1 + int(max((each.max() for each in labels if len(each)), default=0))

    def to_json(self) -> dict[str, Any]:
        (before, after), (low, high) = self._ap50, self.interval
        return {
            "metric": "AP50",
            "images": len(self.truth),
            "float_top1": round(before, 5),
            "top1": round(after, 5),
            "drop_points": round(self.points, 3),
            "drop_points_interval_95": [round(low, 3), round(high, 3)],
            "same_answer": round(self.same_objects, 5),
        }


def box_error(expected: Mapping[str, Array], got: Mapping[str, Array]) -> float:
    """How far the objects of two runners are from each other, 0 to 1, without labels."""
    found = compare_boxes(expected, got, "int8", 0)
    return 1 - found.share * (1 - found.mean_loss)

"""Objects that keep a number from frame to frame: SORT, by the library Similari.

A Kalman filter says where an object should be now, and boxes are given to objects such that they
overlap most (arXiv 1602.00763). Nothing is looked at but the boxes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.inference.dense.detections import Detections
from edgevit.zoo.tasks import Task

_LEAST_OVERLAP = 0.2  # IoU of a box and where its object is expected
_LOST_FRAMES = 15  # an object that was not found for so many frames gets a new number
_LEAST_SCORE = 0.05


def refuse_tracking(task: Task) -> None:
    """Raises InputError for a model without objects, MissingExtraError without the library."""
    if task != "detection":
        raise InputError(
            f"--track follows the objects of a detector; this model's task is {task}. Leave it out."
        )
    require_modules("Tracking objects", "track", ["similari"])


class Tracking:
    """Follows the objects of one feed.

    Raises:
        MissingExtraError: the library is not installed.
    """

    def __init__(self) -> None:
        require_modules("Tracking objects", "track", ["similari"])
        from similari import PositionalMetricType, Sort

        # One shard, so one thread: there are tens of objects, not thousands.
        self._sort = Sort(
            shards=1,
            max_idle_epochs=_LOST_FRAMES,
            method=PositionalMetricType.iou(threshold=_LEAST_OVERLAP),
            min_confidence=_LEAST_SCORE,
        )
        self._numbers: dict[int, int] = {}  # ours by the library's, which have gaps
        self._count = 0

    def follow(self, found: Detections) -> Detections:
        """The objects of the next frame with their ``tracks``."""
        from similari import BoundingBox

        boxes = [
            (BoundingBox(left, top, right - left, bottom - top).as_xyaah(), row)
            for row, (left, top, right, bottom) in enumerate(found.boxes.tolist())
        ]
        tracks = np.zeros(len(found), np.int64)
        for track in self._sort.predict(boxes):
            tracks[track.custom_object_id] = self._number(track.id)
        for lost in self._sort.wasted():
            self._numbers.pop(lost.id, None)
        return replace(found, tracks=tracks)

    def _number(self, known: int) -> int:
        if known not in self._numbers:
            self._count += 1
            self._numbers[known] = self._count
        return self._numbers[known]

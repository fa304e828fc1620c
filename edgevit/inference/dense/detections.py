"""What a detector found in one picture, and where that lies in the picture's own pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.inference.dense.letterbox import boxes_in_picture
from edgevit.inference.runner import Array
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.tasks import BOXES, OBJECT_CLASSES, SCORES

SHOWN_SCORE = 0.3  # what is drawn and listed; precision is measured over all scores


@dataclass(frozen=True, eq=False)
class Detections:
    """N objects, best first.

    boxes: float32 [N, 4], left, top, right, bottom in pixels. scores: float32 [N], 0 to 1.
    labels: int64 [N], places among the model's classes.
    tracks: int64 [N], of a feed whose objects are tracked: the number that an object keeps from
        frame to frame, from 1.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    tracks: NDArray[np.int64] | None = None

    @classmethod
    def of_outputs(cls, outputs: Mapping[str, Array]) -> Detections:
        """From a model's outputs of one picture, without the rows that are no objects."""
        found = outputs[SCORES] > 0
        return cls(
            np.asarray(outputs[BOXES][found], np.float32),
            np.asarray(outputs[SCORES][found], np.float32),
            np.asarray(outputs[OBJECT_CLASSES][found], np.int64),
        )

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def worth_showing(
        cls, outputs: Mapping[str, Array], height: int, width: int, preprocess: Preprocess
    ) -> Detections:
        """Those of at least :data:`SHOWN_SCORE`, in pixels of a picture of that size."""
        return cls.of_outputs(outputs).above(SHOWN_SCORE).in_picture(height, width, preprocess)

    def above(self, score: float) -> Detections:
        """Those of at least this score."""
        return self._part(self.scores >= score)

    def presence(self, classes: int) -> NDArray[np.float32]:
        """float32 [classes]: the best score of every class, 0 where none was found."""
        best = np.zeros(classes, np.float32)
        np.maximum.at(best, self.labels, self.scores)
        return best

    def scaled(self, factor: float) -> Detections:
        """The same in a picture that was resized."""
        return replace(self, boxes=np.asarray(self.boxes * factor, np.float32))

    def to_json(self, classes: Sequence[str]) -> list[dict[str, Any]]:
        """One object a row; ``box_px`` is left, top, right, bottom."""
        rows = zip(self.boxes, self.scores, self.labels, strict=True)
        objects: list[dict[str, Any]] = [
            {
                "label": classes[label],
                "score": round(float(score), 4),
                "box_px": [round(float(side), 1) for side in box],
            }
            for box, score, label in rows
        ]
        if self.tracks is not None:
            for each, track in zip(objects, self.tracks.tolist(), strict=True):
                each["track"] = track
        return objects

    def in_picture(self, height: int, width: int, preprocess: Preprocess) -> Detections:
        """The same in pixels of a picture of that size, clipped to it.

        Boxes that lie in the bars of a letterbox altogether are left out.
        """
        boxes = boxes_in_picture(self.boxes, height, width, preprocess)
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return replace(self, boxes=boxes)._part(inside)

    def _part(self, kept: NDArray[np.bool_]) -> Detections:
        tracks = None if self.tracks is None else self.tracks[kept]
        return Detections(self.boxes[kept], self.scores[kept], self.labels[kept], tracks)


def by_picture(outputs: Mapping[str, Array]) -> list[Detections]:
    """From a model's outputs of many pictures, [n, N, ...] by name."""
    names = (BOXES, SCORES, OBJECT_CLASSES)
    rows = zip(*(outputs[name] for name in names), strict=True)
    return [Detections.of_outputs(dict(zip(names, row, strict=True))) for row in rows]

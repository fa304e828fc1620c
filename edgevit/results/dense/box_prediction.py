"""What a detector says of a picture, and of a frame of a feed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.common.tables import Section, Table
from edgevit.common.untrusted.sanitize import printable
from edgevit.images.image_io import Image
from edgevit.inference.dense.detections import Detections
from edgevit.results.dense.dense_prediction import DensePrediction
from edgevit.results.stream_prediction import OfFrame


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class BoxPrediction(DensePrediction):
    """A prediction whose answer is a list of objects.

    detections: the objects, best first, in the picture's own pixels.
    probabilities: float32 [classes], the best score of every class, 0 where none was found.
    """

    detections: Detections

    @property
    def boxes(self) -> NDArray[np.float32]:
        """float32 [N, 4]: left, top, right, bottom in pixels of the picture, best first."""
        return self.detections.boxes

    @property
    def scores(self) -> NDArray[np.float32]:
        """float32 [N], 0 to 1: of every box."""
        return self.detections.scores

    @property
    def tracks(self) -> NDArray[np.int64] | None:
        """int64 [N]: numbers that objects keep from frame to frame; None without tracking."""
        return self.detections.tracks

    @property
    def labels(self) -> list[str]:
        """The class of every box."""
        return [self.classes[place] for place in self.detections.labels]

    def drawn(self) -> Image:
        """The picture with a box around every object, in the colour of its class."""
        from edgevit.images.drawn.box_drawing import draw_boxes, plate_texts

        texts = plate_texts(self.labels, self.scores, self.trained, self.tracks)
        return draw_boxes(self.picture, self.boxes, self.detections.labels.tolist(), texts)

    def to_dict(self) -> dict[str, Any]:
        """``{"image", "objects": [{"label", "score", "box_px"}], "latency_ms"}``.

        Where objects are tracked each has its ``track`` too.
        """
        return {
            "image": self.source,
            "objects": self.detections.to_json(self.classes),
            "latency_ms": round(self.latency_ms, 3),
            **({"notes": list(self.notes)} if self.notes else {}),
        }

    def sections(self) -> list[Section]:
        rows = [
            (
                each["label"],
                f"{100 * each['score']:.1f} %",
                *(f"{side:.0f}" for side in each["box_px"]),
            )
            for each in self.detections.to_json(self.classes)
        ]
        columns = ("object", "score", "left", "top", "right", "bottom")
        table = Table(self.source, columns, rows, columns[1:])
        return [table, *self.closing(f"{len(rows)} objects, {self.latency_ms:.1f} ms")]

    def __repr__(self) -> str:
        said = printable(f"{self.source}: {len(self.detections)} objects")
        return f"<{type(self).__name__} {said}>"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class StreamBoxPrediction(OfFrame, BoxPrediction):
    """The same of one frame of a feed; see :class:`edgevit.results.stream_prediction.OfFrame`."""

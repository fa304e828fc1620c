"""What was answered about one frame, and how long every part of it took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.images.image_io import Image
from edgevit.inference.answers import Answer
from edgevit.inference.dense.detections import Detections
from edgevit.inference.dense.masks import runs_of
from edgevit_runtimes.sources.frame import Frame


@dataclass(frozen=True)
class Observation:
    """An answered frame.

    resized: what the model saw, uint8 RGB [size, size, 3].
    labels: int32 [rows, columns], the superpixels, where the model itself gives them out.
    latency_ns: from when the source handed the frame over to the answer.
    probabilities: float32 [classes], smoothed where that was asked for; of a mask the share of the
        pixels that every class has.
    unsure: of a classifier, the likeliest class is less probable than the threshold.
    mask: uint8 [H, W] in the frame's own pixels, of a segmentation model.
    detections: of a detector, the objects in the frame's own pixels; ``answers`` are then the
        classes that were found, each with its best score.
    classes: the names of the model's classes.
    """

    frame: Frame
    answers: tuple[Answer, ...]
    resized: Image
    labels: NDArray[np.int32] | None
    resize_ns: int
    inference_ns: int
    latency_ns: int
    probabilities: NDArray[np.float32]
    unsure: bool = False
    mask: NDArray[np.uint8] | None = None
    detections: Detections | None = None
    classes: tuple[str, ...] = ()

    @property
    def is_of_classes(self) -> bool:
        """Whether it is the answer of a classifier."""
        return self.mask is None and self.detections is None

    @property
    def summary(self) -> str:
        """The answer in a few words: ``cat 93 %``, or ``12 objects, best RBC 93 %``."""
        best = self.answers[0] if self.answers else None
        said = "" if best is None else f"{best.label} {100 * best.probability:.0f} %"
        if self.detections is None:
            return said
        count = len(self.detections)
        return f"{count} object{'s' * (count != 1)}{', best ' * bool(said)}{said}"

    @property
    def waiting_ns(self) -> int:
        """Between decoding and resizing, and around the inference: the loop's own share."""
        return self.latency_ns - self.frame.decode_ns - self.resize_ns - self.inference_ns

    def stages_ns(self) -> dict[str, int]:
        """Durations by the names that outputs use, in the order in which they happen."""
        return {
            "capture": self.frame.capture_ns,
            "decode": self.frame.decode_ns,
            "waiting": self.waiting_ns,
            "resize": self.resize_ns,
            "inference": self.inference_ns,
            "latency": self.latency_ns,
        }

    def stages_ms(self) -> dict[str, float]:
        """The same in milliseconds."""
        return {name: round(ns / 1e6, 3) for name, ns in self.stages_ns().items()}

    def _answers(self, pixels: bool) -> dict[str, Any]:
        if self.detections is not None:
            answers = [answer.to_dict() for answer in self.answers]
            return {"answers": answers, "objects": self.detections.to_json(self.classes)}
        if self.mask is None:
            answers = [answer.to_dict() for answer in self.answers]
            return {"answers": answers, "unsure": self.unsure}
        areas = [{"label": a.label, "area": round(a.probability, 5)} for a in self.answers]
        return {"classes": areas, **({"mask": runs_of(self.mask)} if pixels else {})}

    def to_json(self, pixels: bool = True) -> dict[str, Any]:
        """Plain values with units in their keys; no pictures, no credentials.

        Args:
            pixels: with the mask of a segmentation model, which may be long.
        """
        captured = datetime.fromtimestamp(self.frame.captured_unix_s, timezone.utc)
        height, width = self.frame.picture.shape[:2]
        return {
            "frame": self.frame.number,
            "source": self.frame.source,
            "captured": captured.isoformat(timespec="milliseconds"),
            "width_px": width,
            "height_px": height,
            **self._answers(pixels),
            "ms": self.stages_ms(),
        }

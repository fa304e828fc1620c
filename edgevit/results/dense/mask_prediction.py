"""What a segmentation model says of a picture, and of a frame of a feed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of
from edgevit.common.tables import Section, Table
from edgevit.images.image_io import Image
from edgevit.inference.dense.masks import runs_of
from edgevit.results.dense.dense_prediction import DensePrediction
from edgevit.results.stream_prediction import OfFrame


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class MaskPrediction(DensePrediction):
    """A prediction whose answer is a mask.

    mask: uint8 [H, W] in the picture's own pixels, the place of every pixel's class among
    ``classes``; 255 where the model saw nothing of the picture (a cropped one).
    probabilities: float32 [classes], the share of the pixels that every class has: ``label`` is the
    class with the most, and ``top`` lists classes by their area.
    """

    mask: NDArray[np.uint8]

    rank: ClassVar[str] = "area"

    def where(self, label: str) -> NDArray[np.bool_]:
        """bool [H, W]: the pixels of a class, by its name.

        Raises:
            InputError: the model has no such class.
        """
        if label not in self.classes:
            raise InputError(
                f"The model has no class {label!r}; it knows {some_of(list(self.classes))}."
            )
        return np.asarray(self.mask == list(self.classes).index(label))

    def drawn(self) -> Image:
        """The picture under its mask: a colour for every class, outlines and a legend."""
        from edgevit.images.drawn import drawing
        from edgevit.images.drawn.mask_drawing import draw_mask

        drawn = draw_mask(self.picture, self.mask, self.classes)
        return drawn if self.trained else drawing.draw_caption(drawn, "untrained")

    def to_dict(self) -> dict[str, Any]:
        """``{"image", "classes": [{"label", "area"}], "mask": run lengths, "latency_ms"}``."""
        return {
            "image": self.source,
            "classes": [
                {"label": answer.label, "area": round(answer.probability, 5)}
                for answer in self.top(self.shown)
                if answer.probability
            ],
            "mask": runs_of(self.mask),
            "latency_ms": round(self.latency_ms, 3),
            **({"notes": list(self.notes)} if self.notes else {}),
        }

    def sections(self) -> list[Section]:
        rows = [
            (answer.label, f"{100 * answer.probability:.1f} %")
            for answer in self.top(self.shown)
            if answer.probability
        ]
        table = Table(self.source, ("class", "area"), rows, ("area",))
        return [table, *self.closing(f"{self.latency_ms:.1f} ms")]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class StreamMaskPrediction(OfFrame, MaskPrediction):
    """The same of one frame of a feed; see :class:`edgevit.results.stream_prediction.OfFrame`."""

"""How a decoded picture becomes a model's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ResizeMode = Literal["squash", "crop", "letterbox"]


@dataclass(frozen=True)
class Preprocess:
    """How a decoded picture becomes the model's input.

    ``resize``: ``squash`` makes both sides ``size_px``, whatever the aspect ratio, which is how the
    shipped weights saw their training images; ``crop`` takes the square in the middle, whose side
    is ``crop_pct`` of the picture's shorter one; ``letterbox`` keeps the aspect ratio and fills up
    with grey. ``mean`` and ``std`` (RGB, of pixels scaled to 0..1) are applied *inside* the graph;
    they are listed so that a person can check them.
    """

    size_px: int
    resize: ResizeMode = "squash"
    colour: Literal["RGB"] = "RGB"
    layout: Literal["NHWC"] = "NHWC"
    dtype: Literal["uint8"] = "uint8"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    normalised_in_graph: bool = True
    crop_pct: float = 1.0

    def check(self, where: str) -> None:
        """Raises ValueError for a share of the shorter side that no crop can take."""
        if not 0 < self.crop_pct <= 1:
            raise ValueError(
                f"{where}.crop_pct is {self.crop_pct}, expected more than 0 and at most 1"
            )

    @property
    def resize_text(self) -> str:
        """For people: ``squash to 160 px``."""
        part = f" {100 * self.crop_pct:g} % of the shorter side" if self.resize == "crop" else ""
        return f"{self.resize}{part} to {self.size_px} px"

"""What a person says of a model that was not made here, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from edgevit.common.errors import InputError
from edgevit.zoo.normalisation import Normalisation, Triple, chosen_normalisation
from edgevit.zoo.spec import Layout, ResizeMode

USUAL_CROP_PCT = 0.875  # 224 of 256 pixels
_COLOURS = ("rgb", "bgr")
_LARGEST_PX = 4096

Channels = float | Sequence[float]


@dataclass(frozen=True)
class ImportOptions:
    """The options of :func:`.import_model.import_onnx`, which explains them."""

    classes: Sequence[str] | int | None = None
    preprocess: str | None = None
    mean: Channels | None = None
    std: Channels | None = None
    scale: float | None = None
    resize: str = "squash"
    crop_pct: float | None = None
    layout: str | None = None
    colour: str = "rgb"
    size: int | None = None
    batch: int | None = None
    logits: str | None = None
    parity_images: Path | str | None = None
    parity_count: int = 32
    force: bool = False

    def check(self) -> None:
        """Raises InputError for a value that no model can have, or that contradicts another."""
        _one_of("--resize", self.resize, get_args(ResizeMode))
        _one_of("--colour", self.colour, _COLOURS)
        if self.layout is not None:
            _one_of("--layout", self.layout, get_args(Layout))
        if self.crop_pct is not None and self.resize != "crop":
            raise InputError(
                "--crop-pct is how much of a picture a crop takes; give --resize crop with it."
            )
        if not 0 < self.share_of_crop <= 1:
            raise InputError(
                f"--crop-pct got {self.crop_pct}; expected more than 0 and at most 1, such as "
                f"{USUAL_CROP_PCT}: the side of the crop over the picture's shorter one."
            )
        for name, value in (("--size", self.size), ("--batch", self.batch)):
            if value is not None and not 1 <= value <= _LARGEST_PX:
                raise InputError(f"{name} got {value}; expected 1 to {_LARGEST_PX}.")
        _ = self.normalisation

    @property
    def share_of_crop(self) -> float:
        """Of the shorter side; 1 where nothing is cropped."""
        if self.resize != "crop":
            return 1.0
        return USUAL_CROP_PCT if self.crop_pct is None else self.crop_pct

    @property
    def normalisation(self) -> Normalisation | None:
        """None where nothing was said of it. Raises InputError for numbers that cannot be used."""
        mean, std = _triple("--mean", self.mean), _triple("--std", self.std)
        return chosen_normalisation(self.preprocess, mean, std, self.scale)


def _triple(name: str, given: Channels | None) -> Triple | None:
    """One number for every channel, or one for all."""
    if given is None:
        return None
    numbers = [given] * 3 if isinstance(given, int | float) else list(given)
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:
        raise InputError(f"{name} got {len(numbers)} numbers; expected three, or one for all.")
    first, second, third = map(float, numbers)
    return first, second, third


def _one_of(name: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise InputError(f"{name} got '{given}'; expected {', '.join(known)}.")

"""What a person says of a model that was not made here, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from edgevit.common.errors import InputError
from edgevit.zoo.input_options import Channels, InputOptions, one_of
from edgevit.zoo.spec import Layout

_COLOURS = ("rgb", "bgr")
_LARGEST_PX = 4096


@dataclass(frozen=True)
class ImportOptions:
    """The options of :func:`.import_model.import_onnx`, which explains them."""

    classes: Sequence[str] | int | None = None
    preprocess: str | None = None
    mean: Channels | None = None
    std: Channels | None = None
    scale: float | None = None
    resize: str | None = "squash"
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
        self.input.check()
        one_of("--colour", self.colour, _COLOURS)
        if self.layout is not None:
            one_of("--layout", self.layout, get_args(Layout))
        for name, value in (("--size", self.size), ("--batch", self.batch)):
            if value is not None and not 1 <= value <= _LARGEST_PX:
                raise InputError(f"{name} got {value}; expected 1 to {_LARGEST_PX}.")

    @property
    def input(self) -> InputOptions:
        """Those of them that say how pictures become the input."""
        return InputOptions(
            self.preprocess, self.mean, self.std, self.scale, self.resize, self.crop_pct
        )

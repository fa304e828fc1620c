"""How pixels become what a network was trained on: (scale * pixel - mean) / std."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from edgevit.common.errors import InputError
from edgevit.zoo.interface.preprocess import IMAGENET_MEAN, IMAGENET_STD

Triple = tuple[float, float, float]
_ONES, _ZEROS = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
_SCALE = 1 / 255


@dataclass(frozen=True)
class Normalisation:
    """(scale * pixel - mean) / std, of pixels 0 to 255.

    mean, std: in the order of the network's channels, of values after ``scale``.
    """

    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    scale: float = _SCALE

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std), ("scale", (self.scale,))):
            if not all(map(math.isfinite, values)):
                raise InputError(f"--{name} got {_text(values)}; expected finite numbers.")
        if min(self.std) <= 0:
            raise InputError(
                f"--std got {_text(self.std)}; pixels are divided by it, so it is above 0. "
                "A model that wants no division has --std 1."
            )
        if self.scale <= 0:
            raise InputError(
                f"--scale got {self.scale:g}; pixels 0 to 255 are multiplied by it, so it is "
                "above 0: 1/255 for a model that takes 0 to 1, 1 for one that takes 0 to 255."
            )

    @property
    def factors(self) -> Triple:
        """What a pixel is multiplied by, for each channel."""
        first, second, third = (self.scale / std for std in self.std)
        return first, second, third

    @property
    def shifts(self) -> Triple:
        """What is then added."""
        first, second, third = (-mean / std for mean, std in zip(self.mean, self.std, strict=True))
        return first, second, third

    @property
    def of_unit_pixels(self) -> tuple[Triple, Triple]:
        """(mean, std) that do the same to pixels scaled to 0..1, as a manifest lists them."""
        unit = 255 * self.scale
        mean_a, mean_b, mean_c = (value / unit for value in self.mean)
        std_a, std_b, std_c = (value / unit for value in self.std)
        return (mean_a, mean_b, mean_c), (std_a, std_b, std_c)

    def __str__(self) -> str:
        scale = "pixel / 255" if self.scale == _SCALE else f"{self.scale:g} * pixel"
        return f"({scale} - ({_text(self.mean)})) / ({_text(self.std)})"


PRESETS: Mapping[str, Normalisation] = {
    "imagenet": Normalisation(),
    "inception": Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": Normalisation(
        (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    ),
}


def chosen_normalisation(
    preset: str | None, mean: Triple | None, std: Triple | None, scale: float | None
) -> Normalisation | None:
    """What was asked for; None where nothing was.

    Raises:
        InputError: an unknown preset, a preset with numbers of one's own, or numbers that cannot
            be used.
    """
    own = {"--mean": mean, "--std": std, "--scale": scale}
    named = [name for name, value in own.items() if value is not None]
    if preset is None:
        if not named:
            return None
        return Normalisation(mean or _ZEROS, std or _ONES, _SCALE if scale is None else scale)
    if named:
        raise InputError(
            f"Got --preprocess {preset} and {' and '.join(named)}; a preset has its own numbers. "
            "Give one of them."
        )
    if preset not in PRESETS:
        raise InputError(
            f"--preprocess got '{preset}'; known are {', '.join(PRESETS)}. For other numbers give "
            "--mean, --std and --scale."
        )
    return PRESETS[preset]


def _text(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)

"""What a person says of how pictures become a model's input: numbers, or the name of a preset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast, get_args

from edgevit.common.errors import InputError
from edgevit.zoo.interface.preprocess import Preprocess, ResizeMode
from edgevit.zoo.normalisation import Normalisation, Triple, chosen_normalisation
from edgevit.zoo.spec import ModelSpec

USUAL_CROP_PCT = 0.875  # 224 of 256 pixels

Channels = float | Sequence[float]
Spec = TypeVar("Spec", bound=ModelSpec)


@dataclass(frozen=True)
class InputOptions:
    """``--preprocess``, ``--mean``, ``--std``, ``--scale``, ``--resize`` and ``--crop-pct``.

    None: nothing was said. ``mean`` and ``std`` are for each channel, or one number for all, of
    pixels after ``scale``, which is 1/255 by default.
    """

    preprocess: str | None = None
    mean: Channels | None = None
    std: Channels | None = None
    scale: float | None = None
    resize: str | None = None
    crop_pct: float | None = None

    def check(self) -> None:
        """Raises InputError for a value that no model can have, or that contradicts another."""
        if self.resize is not None:
            one_of("--resize", self.resize, get_args(ResizeMode))
        if self.crop_pct is not None and self.resize != "crop":
            raise InputError(
                "--crop-pct is how much of a picture a crop takes; give --resize crop with it."
            )
        if not 0 < self.share_of_crop <= 1:
            raise InputError(
                f"--crop-pct got {self.crop_pct}; expected more than 0 and at most 1, such as "
                f"{USUAL_CROP_PCT}: the side of the crop over the picture's shorter one."
            )
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

    @property
    def named(self) -> tuple[str, ...]:
        """The options that were given: ``("--mean", "--resize")``."""
        return tuple(
            f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value is not None
        )

    def applied_to(self, spec: Spec) -> Spec:
        """The same model, its pictures prepared as was said; what was not said stays.

        Raises:
            InputError: see :meth:`check`.
        """
        self.check()
        if self.normalisation is not None:
            mean, std = self.normalisation.of_unit_pixels
            spec = replace(spec, mean=mean, std=std)
        if self.resize is not None:
            mode = cast("ResizeMode", self.resize)
            spec = replace(spec, resize=mode, crop_pct=self.share_of_crop)
        return spec


def stated(preprocess: Preprocess) -> dict[str, object]:
    """What differs from how the zoo's own models are fed, as plain values; usually nothing."""
    usual = Preprocess(preprocess.size_px)
    names = ("mean", "std", "resize", "crop_pct")
    return {
        name: getattr(preprocess, name)
        for name in names
        if getattr(preprocess, name) != getattr(usual, name)
    }


def options_in(content: Mapping[str, object]) -> InputOptions:
    """The opposite of :func:`stated`, of values from a file.

    Raises:
        InputError: they are of the wrong kind, or no model can have them.
    """
    resize, crop_pct = content.get("resize"), content.get("crop_pct")
    options = InputOptions(
        mean=_channels("mean", content.get("mean")),
        std=_channels("std", content.get("std")),
        resize=None if resize is None else str(resize),
        crop_pct=None if crop_pct is None else _numbers("crop_pct", [crop_pct])[0],
    )
    options.check()
    return options


def one_of(name: str, given: str, known: Sequence[str]) -> None:
    """Raises InputError for a value that is none of the known ones."""
    if given not in known:
        raise InputError(f"{name} got '{given}'; expected {', '.join(known)}.")


def _channels(name: str, value: object) -> list[float] | None:
    return None if value is None else _numbers(name, value)


def _numbers(name: str, value: object) -> list[float]:
    whole = isinstance(value, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in value
    )
    if not whole:
        raise InputError(f"{name} is {value!r}; expected a list of numbers.")
    return [float(each) for each in cast("list[float]", value)]


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

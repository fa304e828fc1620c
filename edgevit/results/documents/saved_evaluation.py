"""The document that ``edgevit eval --json`` prints, as it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct
from msgspec import field as field_of_struct

from edgevit.common.errors import InputError
from edgevit.common.schema import cleaned, typed
from edgevit.images.picture_set import PictureSet

_MOST_IMAGES = 10**9
Fraction = Annotated[float, Meta(ge=0, le=1)]
ImageCount = Annotated[int, Meta(ge=0, lt=_MOST_IMAGES)]


@dataclass(frozen=True)
class Proportion:
    """``right`` of ``of``, 0 to 1, with its interval of 95 %."""

    share: Fraction
    interval_95: tuple[Fraction, Fraction]
    right: ImageCount | None = None
    of: ImageCount | None = None


class ClassAccuracy(Struct, frozen=True):
    """One class. ``most_taken_for``: the class that its pictures are most often mistaken for."""

    name: str = field_of_struct(name="class")  # in the document; Python has the word for itself
    images: ImageCount
    recall: Proportion
    precision: Proportion
    most_taken_for: str | None = None
    most_taken_for_images: ImageCount = 0


@dataclass(frozen=True)
class Confusion:
    """Pictures by label (row) and answer (column), of the classes that occur."""

    labels: tuple[str, ...]
    images: tuple[tuple[ImageCount, ...], ...]


@dataclass(frozen=True)
class ImagesPerSecond:
    """Of inference alone, and with reading and resizing."""

    inference: float
    with_reading: float


@dataclass(frozen=True)
class EvaluationConditions:
    """What it was evaluated with."""

    runtime: str
    threads: int
    resize: str


@dataclass(frozen=True)
class SavedEvaluation:
    """How often a model file is right on labelled pictures.

    file_sha256: of the model file, by which a result of bench finds its accuracy.
    picture_set: the pictures; None in documents of an edgevit that did not say it.
    calibration_error: of its probabilities, 0 to 1, at the bundle's temperature.
    left_out: files of the folder that were no pictures to use, by reason.
    """

    top1: Proportion
    file_sha256: str
    top5: Proportion | None = None
    images: ImageCount | None = None
    classes: tuple[ClassAccuracy, ...] = ()
    confusion: Confusion | None = None
    images_per_s: ImagesPerSecond | None = None
    conditions: EvaluationConditions | None = None
    model: str | None = None
    bundle: str | None = None
    variant: str | None = None
    trained: bool | None = None
    weights: str | None = None
    data: str | None = None
    picture_set: PictureSet | None = None
    calibration_error: float | None = None
    temperature: float | None = None
    left_out: Mapping[str, ImageCount] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedDenseEvaluation:
    """How good masks (``miou``) or boxes (``ap50``) of a model file are, 0 to 1."""

    file_sha256: str
    images: ImageCount
    miou: Fraction | None = None
    ap50: Fraction | None = None
    picture_set: PictureSet | None = None

    def __post_init__(self) -> None:
        if (self.miou is None) == (self.ap50 is None):
            raise ValueError("it has to say either miou or ap50")

    @property
    def figure(self) -> tuple[str, float]:
        """What is measured, and how much."""
        if self.miou is not None:
            return "mIoU", self.miou
        return "AP50", float(self.ap50 or 0)


AnySavedEvaluation: TypeAlias = SavedEvaluation | SavedDenseEvaluation


def evaluation_of(content: Any, source: str) -> AnySavedEvaluation | None:
    """An evaluation from parsed JSON; None if it is another document.

    Raises:
        InputError: it is one, with shares or counts that cannot be.
    """
    if not isinstance(content, dict) or "file_sha256" not in content:
        return None
    is_dense = bool({"miou", "ap50"} & content.keys())
    if not is_dense and "top1" not in content:
        return None
    try:
        if is_dense:
            return typed(SavedDenseEvaluation, cleaned(content), unknown_fields=True)
        return typed(SavedEvaluation, cleaned(content), unknown_fields=True)
    except ValueError as error:
        raise InputError(
            f"{source} is a damaged evaluation: {error}. "
            "Make one with: edgevit eval --json BUNDLE IMAGES"
        ) from error

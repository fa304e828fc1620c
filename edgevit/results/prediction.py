"""What a model says of a picture, of many picture files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.common.untrusted.sanitize import printable
from edgevit.images.image_io import Image
from edgevit.inference.answers import Answer, likeliest
from edgevit.inference.confidence import UNSURE_BELOW
from edgevit.zoo.interface.preprocess import Preprocess

LoadPicture = Callable[[], Image]
FindSuperpixels = Callable[[Image], "NDArray[np.int32] | None"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Prediction(Result):
    """What a model says of one picture.

    source: the picture's file, or what kind of object it was.
    probabilities: float32 [classes], softmax of the logits; they add up to 1.
    classes: the names of the classes, in the same order.
    latency_ms: from the decoded picture to the answer: resizing and inference.
    trained: False for a model of random weights, whose answers mean nothing.
    shown: how many classes ``to_dict`` and ``print`` list.
    load_picture: gives the picture; a file is read again, so that a thousand results are small.
    find_superpixels: gives the superpixels of the picture.
    preprocess: how the picture became the model's input; None: all of it was squashed.
    notes: what is to be said of how it was read, such as that the first of many frames was taken.
    unsure_below: the threshold of ``unsure``, 0 to 1.
    """

    source: str
    probabilities: NDArray[np.float32]
    classes: Sequence[str]
    latency_ms: float
    trained: bool
    shown: int
    load_picture: LoadPicture
    find_superpixels: FindSuperpixels
    preprocess: Preprocess | None = None
    notes: tuple[str, ...] = ()
    unsure_below: float = UNSURE_BELOW

    @property
    def unsure(self) -> bool:
        """Whether even the likeliest class is less probable than ``unsure_below``."""
        return self.probability < self.unsure_below

    rank: ClassVar[str] = "top"  # of a place in a list, before its number

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.classes[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """That of the likeliest class, 0 to 1."""
        return float(self.probabilities.max())

    def top(self, count: int = 5) -> list[Answer]:
        """The likeliest classes with their probabilities, likeliest first.

        Args:
            count: how many; all of them where the model has fewer.

        Raises:
            InputError: it is below 1.
        """
        if count < 1:
            raise InputError(f"top() takes how many classes to give, 1 or more; got {count}.")
        return likeliest(self.probabilities, self.classes, count)

    @property
    def picture(self) -> Image:
        """The picture as the model was given it, before resizing: uint8 RGB [H, W, 3].

        Raises:
            InputError: its file cannot be read any more.
        """
        return self.load_picture()

    @cached_property
    def superpixels(self) -> NDArray[np.int32] | None:
        """The superpixels that the model pools, int32 [rows, columns]; None where it has none.

        The numbers count from 0; the map is to be stretched over what the model sees of the
        picture (all of it, unless it is cropped or letterboxed). Found when it is first asked for,
        by the bundle's own op.

        Raises:
            InputError: the model was closed, or the picture's file cannot be read any more.
        """
        return self.find_superpixels(self.picture)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Image:
        """The picture with its answer drawn on it.

        Of a classifier: the outlines of its superpixels and its likeliest class. Of a mask: a
        colour for every class, outlines and a legend. Of a detector: a box around every object.

        Args:
            path: a picture file to write it to as well; its suffix says the format.

        Returns:
            uint8 RGB [H, W, 3], of the picture's size.

        Raises:
            InputError: as ``superpixels``; or the file cannot be written.
        """
        drawn = self.drawn()
        if path is not None:
            from edgevit.images import image_io

            image_io.write(Path(path), drawn)
        return drawn

    def drawn(self) -> Image:
        """What :meth:`plot` gives and writes."""
        from edgevit.images.drawn import drawing

        drawn = self.picture
        if self.superpixels is not None:
            drawn = drawing.draw_superpixels(drawn, self.superpixels, self.preprocess)
        text = drawing.caption(self.label, self.probability, self.trained, self.unsure)
        return drawing.draw_caption(drawn, text)

    def to_dict(self) -> dict[str, Any]:
        """``{"image", "answers": [{"label", "probability", "share"}], "unsure", "latency_ms"}``."""
        return {
            "image": self.source,
            "answers": [answer.to_dict() for answer in self.top(self.shown)],
            "unsure": self.unsure,
            "latency_ms": round(self.latency_ms, 3),
            **({"notes": list(self.notes)} if self.notes else {}),
        }

    def sections(self) -> list[Section]:
        rows = [(a.label, _percent(a.probability)) for a in self.top(self.shown)]
        table = Table(self.source, ("class", "probability"), rows, ("probability",))
        unsure = f"unsure: below {_percent(self.unsure_below)}; " if self.unsure else ""
        return [table, *self.closing(f"{unsure}{self.latency_ms:.1f} ms")]

    def closing(self, line: str) -> list[str]:
        """The last lines of what is printed: ``line``, and notes."""
        last = line if self.trained else f"{line}; an untrained model, it means nothing"
        return [last, *(f"note: {note}" for note in self.notes)]

    def __repr__(self) -> str:
        unsure = ", unsure" if self.unsure else ""
        answer = printable(f"{self.source}: {self.label} {_percent(self.probability)}{unsure}")
        return f"<{type(self).__name__} {answer}>"


@dataclass(frozen=True, eq=False)
class FilePredictions(Result):
    """What a model says of many picture files, and which could not be read.

    saved: where the annotated pictures were written, by source.
    knows: a line that says which classes the model knows.
    failed: what is wrong with a picture, by source.
    """

    model: str
    bundle: Path
    variant: str
    trained: bool
    predictions: Sequence[Prediction]
    saved: dict[str, Path]
    failed: dict[str, str]
    knows: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "bundle": str(self.bundle),
            "variant": self.variant,
            "trained": self.trained,
            "results": [self._result(prediction) for prediction in self.predictions],
            "errors": [{"image": image, "error": error} for image, error in self.failed.items()],
        }

    def _result(self, prediction: Prediction) -> dict[str, Any]:
        saved = self.saved.get(prediction.source)
        return prediction.to_dict() | ({"saved": str(saved)} if saved else {})

    def sections(self) -> list[Section]:
        if not self.predictions:
            return []
        unsure = sum(prediction.unsure for prediction in self.predictions)
        rows = [
            (
                p.source,
                *(["unsure" if p.unsure else ""] if unsure else []),
                *(f"{a.label} {_percent(a.probability)}" for a in p.top(p.shown)),
            )
            for p in self.predictions
        ]
        first = self.predictions[0]
        ranks = (f"{first.rank} {i + 1}" for i in range(len(first.top(first.shown))))
        columns = ("image", *([""] if unsure else []), *ranks)
        below = _percent(self.predictions[0].unsure_below)
        doubts = [f"unsure of {unsure} of {len(rows)}: the likeliest class is below {below}"]
        return [Table(self.model, columns, rows), *(doubts if unsure else []), self.knows]


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"

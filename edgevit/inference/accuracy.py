"""How often a classifier is right, with intervals: from logits and labels alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.inference.intervals import Pairs, wilson

TOP = 5


@dataclass(frozen=True)
class Proportion:
    """How many of how many, and where the true proportion lies with 95 % confidence (Wilson)."""

    right: int
    of: int

    @property
    def value(self) -> float:
        """0 to 1; 0 where there is nothing to count."""
        return self.right / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval, which stays inside 0 to 1 and is right for few images too."""
        return wilson(self.right, self.of)

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            "share": round(self.value, 5),
            "interval_95": [round(low, 5), round(high, 5)],
            "right": self.right,
            "of": self.of,
        }


@dataclass(frozen=True)
class Accuracy:
    """Answers against labels.

    logits: float32 [n, classes]. labels: int64 [n], places among ``classes``.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    @cached_property
    def answers(self) -> NDArray[np.int64]:
        """The likeliest class of every picture; the first of equals."""
        best: NDArray[np.int64] = self.logits.argmax(axis=1)
        return best

    @property
    def top1(self) -> Proportion:
        return Proportion(int((self.answers == self.labels).sum()), len(self.labels))

    @property
    def top5(self) -> Proportion:
        """Whether the label is among the five likeliest; equals count by their order."""
        best = np.argsort(-self.logits, axis=1, kind="stable")[:, :TOP]
        return Proportion(int((best == self.labels[:, None]).any(axis=1).sum()), len(self.labels))

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """[classes, classes]: pictures by label (row) and answer (column)."""
        count = len(self.classes)
        pairs = self.labels * count + self.answers
        return np.bincount(pairs, minlength=count**2).reshape(count, count)

    @property
    def used_confusion(self) -> tuple[NDArray[np.int64], list[str]]:
        """The confusion of the classes that were shown or answered, and their names."""
        used = np.flatnonzero(self.confusion.sum(axis=0) + self.confusion.sum(axis=1))
        return self.confusion[np.ix_(used, used)], [self.classes[place] for place in used]

    def by_class(self) -> list[dict[str, Any]]:
        """Of every class that has pictures: how many are found, and what it is taken for."""
        rows = []
        answered = self.confusion.sum(axis=0)
        for place in np.flatnonzero(self.confusion.sum(axis=1)):
            row = self.confusion[place].copy()
            found = Proportion(int(row[place]), int(row.sum()))
            row[place] = 0
            mistaken = int(row.argmax()) if row.any() else None
            rows.append(
                {
                    "class": self.classes[place],
                    "images": found.of,
                    "recall": found.to_json(),
                    "precision": Proportion(found.right, int(answered[place])).to_json(),
                    "most_taken_for": None if mistaken is None else self.classes[mistaken],
                    "most_taken_for_images": int(row.max()),
                }
            )
        return rows

    def to_json(self) -> dict[str, Any]:
        """Everything but the logits."""
        confusion, names = self.used_confusion
        return {
            "images": len(self.labels),
            "top1": self.top1.to_json(),
            "top5": self.top5.to_json(),
            "classes": self.by_class(),
            "confusion": {
                "labels": names,
                "images": confusion.tolist(),
            },
        }


@dataclass(frozen=True)
class PairedDrop:
    """Float against quantized answers to the same pictures, bool [n] each: right or not."""

    float_right: NDArray[np.bool_]
    quantized_right: NDArray[np.bool_]
    same_answer: NDArray[np.bool_]

    @classmethod
    def of(
        cls, expected: NDArray[np.float32], got: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> PairedDrop:
        """From logits [n, classes] and labels [n]."""
        before, after = expected.argmax(axis=1), got.argmax(axis=1)
        return cls(before == labels, after == labels, before == after)

    @property
    def points(self) -> float:
        """Points of top-1 that were lost; negative where it gained."""
        lost = int(self.float_right.sum()) - int(self.quantized_right.sum())
        return 100 * lost / len(self.float_right)  # of whole counts: exact at the limit

    @property
    def interval(self) -> tuple[float, float]:
        """Where the drop lies with 95 % confidence, in points: paired score interval."""
        before, after = self.float_right, self.quantized_right
        pairs = Pairs(
            both=int((before & after).sum()),
            only_first=int((before & ~after).sum()),
            only_second=int((~before & after).sum()),
            neither=int((~before & ~after).sum()),
        )
        low, high = pairs.difference_interval()
        return 100 * low, 100 * high

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            "images": len(self.float_right),
            "float_top1": round(float(self.float_right.mean()), 5),
            "top1": round(float(self.quantized_right.mean()), 5),
            "drop_points": round(self.points, 3),
            "drop_points_interval_95": [round(low, 3), round(high, 3)],
            "same_answer": round(float(self.same_answer.mean()), 5),
        }

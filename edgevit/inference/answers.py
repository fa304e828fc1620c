"""Reading a classifier's answers: what its logits say, and where class names are among its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of


class Answer(Struct, frozen=True):
    """A class and its softmax probability, 0 to 1."""

    label: str
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Also under ``share``, the former name of ``probability``, until version 0.3."""
        return {
            "label": self.label,
            "probability": self.probability,
            "share": self.probability,
        }


def likeliest(
    probabilities: NDArray[np.float32], classes: Sequence[str], count: int
) -> list[Answer]:
    """The ``count`` likeliest classes, likeliest first; of equals, the one listed first.

    Args:
        probabilities: float32 [classes].
    """
    best = np.argsort(-probabilities, kind="stable")[:count]
    return [Answer(classes[i], float(probabilities[i])) for i in best]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [..., classes], the last axis adds up to 1."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def class_places(
    asked: Sequence[str], known: Sequence[str], owner: str, what: str, remedy: str
) -> NDArray[np.int64]:
    """int64 [asked]: where the classes that are asked for are among those that are known.

    Args:
        owner: who knows them. what: the asked ones. remedy: a sentence. All for the message.

    Raises:
        InputError: some are not known; they are named.
    """
    places = {name: place for place, name in enumerate(known)}
    if unknown := [name for name in asked if name not in places]:
        raise InputError(
            f"{owner} does not know {len(unknown)} of the {len(asked)} {what}: {some_of(unknown)}. "
            f"It knows {len(known)}, such as {', '.join(known[:3])}. {remedy}"
        )
    return np.array([places[name] for name in asked], np.int64)

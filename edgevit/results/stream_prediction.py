"""What a model says of a frame of a feed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgevit.results.prediction import Prediction


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class OfFrame:
    """What a prediction of one frame of a feed has besides.

    frame: the number of the frame, from 0; those between were dropped or not asked for.
    captured_unix_s: when the source handed it over, in seconds since 1970.
    latency_ms: from then to the answer.
    stages_ms: how long the parts of that took, by name.
    document: gives what ``to_dict`` returns.
    probabilities: averaged over time, where smoothing was asked for.
    """

    frame: int
    captured_unix_s: float
    stages_ms: dict[str, float]
    document: Callable[[], dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """What a line of ``edgevit run --jsonl`` holds of an answer."""
        return self.document()


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class StreamPrediction(OfFrame, Prediction):
    """What a model says of one frame of a feed; its own fields are those of :class:`OfFrame`."""

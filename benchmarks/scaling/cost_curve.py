"""A cost against a size: points with quartiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Point:
    """median, low, high: of the repetitions; low and high are the quartiles."""

    x: float
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """title: for people. x, y: what the axes are, with their units.

    reference, reference_name: a cost to compare with, at no place of x.
    """

    title: str
    x: str
    y: str
    points: tuple[Point, ...]
    reference: float | None = None
    reference_name: str = ""


def point(x: float, repetitions: Sequence[float]) -> Point:
    low, median, high = (float(q) for q in np.percentile(repetitions, (25, 50, 75)))
    return Point(x, median, low, high)

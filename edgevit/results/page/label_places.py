"""Where the labels of points go, so that none lies on another label or point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Point = tuple[float, float]

_DIRECTIONS = 8
_DISTANCES = range(12, 200, 9)  # nearest first


@dataclass(frozen=True)
class Box:
    """A rectangle around its centre."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        return (
            abs(self.x - other.x) * 2 < self.width + other.width
            and abs(self.y - other.y) * 2 < self.height + other.height
        )

    def lies_in(self, outer: Box) -> bool:
        return (
            abs(self.x - outer.x) * 2 <= outer.width - self.width
            and abs(self.y - outer.y) * 2 <= outer.height - self.height
        )


def label_places(
    points: Sequence[Point], sizes: Sequence[Point], area: Box, radius: float
) -> list[Point]:
    """The centre of every point's label, as near to its point as there is room.

    Args:
        sizes: width and height of every label.
        area: what the labels stay in, as far as they can.
        radius: of the points.
    """
    taken = [Box(x, y, 2 * radius, 2 * radius) for x, y in points]
    places = []
    for point, (width, height) in zip(points, sizes, strict=True):
        boxes = [Box(x, y, width, height) for x, y in _around(point)]
        inside = [box for box in boxes if box.lies_in(area)] or boxes
        free = (box for box in inside if not any(box.meets(other) for other in taken))
        chosen = next(free, inside[0])
        taken.append(chosen)
        places.append((chosen.x, chosen.y))
    return places


def _around(point: Point) -> Iterator[Point]:
    """Places around a point, ring by ring, right first."""
    for distance in _DISTANCES:
        for i in range(_DIRECTIONS):
            angle = 2 * math.pi * i / _DIRECTIONS
            yield (
                point[0] + distance * math.cos(angle),
                point[1] - distance * math.sin(angle),
            )

"""Where the labels of points go, so that none lies on another label or point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Point = tuple[float, float]

_DIRECTIONS = (0, 180, 45, 315, 135, 225, 90, 270)  # above and below are intervals
_GAPS = range(2, 200, 6)  # nearest first


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
    for point, size in zip(points, sizes, strict=True):
        boxes = [Box(x, y, *size) for x, y in _around(point, size, radius)]
        inside = [box for box in boxes if box.lies_in(area)] or boxes
        free = (box for box in inside if not any(box.meets(other) for other in taken))
        chosen = next(free, inside[0])
        taken.append(chosen)
        places.append((chosen.x, chosen.y))
    return places


def _around(point: Point, size: Point, radius: float) -> Iterator[Point]:
    """Places around a point, ring by ring."""
    for gap in _GAPS:
        for degrees in _DIRECTIONS:
            angle = math.radians(degrees)
            yield (
                point[0] + (radius + gap + size[0] / 2) * math.cos(angle),
                point[1] - (radius + gap + size[1] / 2) * math.sin(angle),
            )

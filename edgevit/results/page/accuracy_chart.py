"""Accuracy against latency: a chart for every set of pictures, its points numbered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgevit.images.picture_set import pictures_key, pictures_text
from edgevit.results.page.entry import Entry, MeasuredTop1, colours
from edgevit.results.page.label_places import Box, label_places
from edgevit.results.page.svg import Scale, axis_x, axis_y, chart, element, text, tooltip

_LEFT, _MARGIN, _TOP, _BOTTOM = 46, 26, 30, 300
_RADIUS, _LETTER_PX, _LINE_PX = 5, 7.5, 13


@dataclass(frozen=True)
class Point:
    """A result whose accuracy is known. number: what it is called in the chart, from 1 on."""

    number: int
    entry: Entry
    accuracy: MeasuredTop1

    @property
    def latency_ms(self) -> float:
        return self.entry.result.latency_ms.p50


@dataclass(frozen=True)
class AccuracyChart:
    """Accuracies of one metric that can be compared. pictures: what they were measured on.

    is_known: False where the results do not say which pictures these were.
    """

    pictures: str
    is_known: bool
    points: tuple[Point, ...]
    colours: Mapping[str, str]

    @property
    def metric(self) -> str:
        """``top-1``, ``mIoU`` or ``AP50``."""
        return self.points[0].accuracy.metric

    def svg(self, width: int) -> str:
        """The points with their intervals of 95 %, for a width in pixels."""
        latencies = [point.latency_ms for point in self.points]
        x = Scale(0.95 * min(latencies), 1.05 * max(latencies), _LEFT + _MARGIN, width - _MARGIN)
        low = 100 * min(point.accuracy.low for point in self.points) - 0.5
        high = 100 * max(point.accuracy.high for point in self.points) + 0.5
        y = Scale(low, high, _BOTTOM, _TOP, is_linear=True)
        parts = [
            axis_x(x, _BOTTOM, _TOP, "latency p50, ms"),
            axis_y(y, _LEFT, width - 8, f"{self.metric}, %"),
            *(self._interval(point, x, y) for point in self.points),
            *(self._point(point, x, y) for point in self.points),
            *self._numbers(x, y, width),
        ]
        return chart(width, _BOTTOM + 40, f"Accuracy against latency, on {self.pictures}", parts)

    def _interval(self, point: Point, x: Scale, y: Scale) -> str:
        place, accuracy = x(point.latency_ms), point.accuracy
        low, high = y(100 * accuracy.low), y(100 * accuracy.high)
        colour = self.colours[point.entry.device]
        return element("line", x1=place, x2=place, y1=low, y2=high, stroke=colour, class_="spread")

    def _point(self, point: Point, x: Scale, y: Scale) -> str:
        tip = tooltip(
            f"{point.entry.label} on {point.entry.device}: {100 * point.accuracy.top1:.2f} %, "
            f"p50 {point.latency_ms:.3f} ms"
        )
        return element(
            "circle",
            tip,
            cx=x(point.latency_ms),
            cy=y(100 * point.accuracy.top1),
            r=_RADIUS,
            fill=self.colours[point.entry.device],
            class_="point",
        )

    def _numbers(self, x: Scale, y: Scale, width: int) -> list[str]:
        at = [(x(p.latency_ms), y(100 * p.accuracy.top1)) for p in self.points]
        sizes = [(_LETTER_PX * len(str(p.number)) + 2, float(_LINE_PX)) for p in self.points]
        area = Box((_LEFT + width) / 2, (_TOP + _BOTTOM) / 2, width - _LEFT, _BOTTOM - _TOP)
        return [
            text(p.number, x=left, y=top + 4, text_anchor="middle", class_="strong number")
            for p, (left, top) in zip(
                self.points, label_places(at, sizes, area, _RADIUS), strict=True
            )
        ]


def accuracy_against_latency(entries: Sequence[Entry]) -> list[AccuracyChart]:
    """A chart for every picture set: accuracies of different ones never share an axis."""
    by_set: dict[tuple[str, str], list[tuple[Entry, MeasuredTop1]]] = {}
    for entry in entries:
        for accuracy in entry.accuracies:
            key = (accuracy.metric, pictures_key(accuracy))
            by_set.setdefault(key, []).append((entry, accuracy))
    return [
        AccuracyChart(
            pictures=pictures_text(found[0][1]),
            is_known=found[0][1].picture_set is not None,
            points=tuple(Point(i, *each) for i, each in enumerate(found, 1)),
            colours=colours(entries),
        )
        for found in by_set.values()
    ]

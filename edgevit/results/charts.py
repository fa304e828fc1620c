"""Charts of results of ``edgevit bench``, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevit.images.picture_set import PictureSet, pictures_key, pictures_text
from edgevit.results.bench_result import BenchResult
from edgevit.results.compare import figure
from edgevit.results.svg import COLOURS, Scale, axis_x, axis_y, chart, element, text, tooltip

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 860, 250, 840, 16, 46
_BINS = 80
_LABEL_CHARACTERS = 38


@dataclass(frozen=True)
class MeasuredTop1:
    """Top-1 accuracy with the limits of its interval of 95 %, all 0 to 1.

    images, picture_set: how many pictures it was measured on, and which; None: not known.
    """

    top1: float
    low: float
    high: float
    images: int | None = None
    picture_set: PictureSet | None = None


@dataclass(frozen=True)
class Entry:
    """A result by the name of its file. accuracies: what is known, one for every picture set."""

    name: str
    result: BenchResult
    accuracies: tuple[MeasuredTop1, ...] = ()

    @property
    def label(self) -> str:
        model = self.result.model
        return f"{model.name} {model.variant}"

    @property
    def device(self) -> str:
        return self.result.device


def colours(entries: Sequence[Entry]) -> dict[str, str]:
    """A colour for every device."""
    devices = list(dict.fromkeys(entry.device for entry in entries))
    return {device: COLOURS[i % len(COLOURS)] for i, device in enumerate(devices)}


def distributions(entries: Sequence[Entry]) -> str:
    """How often an inference took how long, a row a result, with p50, p90 and p99 marked."""
    times = [np.concatenate([np.asarray(r) for r in e.result.durations_us]) for e in entries]
    times = [t / 1e3 for t in times]
    low = min(float(t.min()) for t in times)
    high = max(float(np.percentile(t, 99.5)) for t in times)
    scale = Scale(low, high, _LEFT, _RIGHT)
    bottom = _TOP + _ROW * len(entries)
    parts = [axis_x(scale, bottom, _TOP, "ms")]
    for i, (entry, taken) in enumerate(zip(entries, times, strict=True)):
        base = _TOP + _ROW * (i + 1) - 6
        parts.append(_row_label(entry, base))
        parts.append(_density(taken, scale, base, colours(entries)[entry.device]))
        parts += _percentiles(entry, scale, base)
    return chart(_WIDTH, bottom + 36, "Latency distributions", parts)


def _row_label(entry: Entry, base: float) -> str:
    lines = (entry.label, entry.device)
    return "".join(
        text(_shortened(line), x=_LEFT - 10, y=base - 16 + 13 * i, text_anchor="end", class_=name)
        for i, (line, name) in enumerate(zip(lines, ("strong", "weak"), strict=True))
    )


def _shortened(line: str) -> str:
    return line if len(line) <= _LABEL_CHARACTERS else f"{line[: _LABEL_CHARACTERS - 1]}…"


def _density(taken: Any, scale: Scale, base: float, colour: str) -> str:
    """A filled curve of how many inferences fall on a place of the scale."""
    places = [scale(float(min(max(t, scale.low), scale.high))) for t in taken]
    counts, edges = np.histogram(places, _BINS, (_LEFT, _RIGHT))
    tallest = max(int(counts.max()), 1)
    points = [f"{_LEFT},{base}"]
    for count, start, end in zip(counts, edges[:-1], edges[1:], strict=True):
        y = base - (_ROW - 14) * count / tallest
        points += [f"{start:.1f},{y:.1f}", f"{end:.1f},{y:.1f}"]
    points.append(f"{_RIGHT},{base}")
    return element("polygon", points=" ".join(points), fill=colour, class_="density")


def _percentiles(entry: Entry, scale: Scale, base: float) -> list[str]:
    marks = []
    for name in ("p50", "p90", "p99"):
        value = figure(entry.result, f"latency_ms.{name}")
        if value is not None:
            x = scale(min(max(value, scale.low), scale.high))
            tip = tooltip(f"{name} {value:.3f} ms")
            marks.append(element("line", tip, x1=x, x2=x, y1=base - 30, y2=base + 4, class_=name))
    return marks


def memory(entries: Sequence[Entry]) -> str:
    """Peaks of resident memory while loading and while running."""
    figures = [
        (entry, [figure(entry.result, f"peak_memory_mib.{part}") for part in ("load", "steady")])
        for entry in entries
    ]
    most = max((v for _, values in figures for v in values if v is not None), default=1.0)
    scale = Scale(0.0, most, _LEFT, _RIGHT - 60)
    bottom = _TOP + _ROW * len(entries)
    parts = [axis_x(scale, bottom, _TOP, "MiB")]
    for i, (entry, values) in enumerate(figures):
        base = _TOP + _ROW * (i + 1) - 6
        parts.append(_row_label(entry, base))
        for place, (name, value) in enumerate(zip(("load", "steady"), values, strict=True)):
            parts.append(_bar(name, value, scale, base - 32 + 16 * place))
    return chart(_WIDTH, bottom + 36, "Peak memory", parts)


def _bar(name: str, value: float | None, scale: Scale, y: float) -> str:
    if value is None:
        return text(f"{name}: unavailable", x=_LEFT + 4, y=y + 11, class_="weak")
    width = scale(value) - _LEFT
    return element("rect", x=_LEFT, y=y, width=width, height=13, class_=f"bar {name}") + text(
        f"{value:.0f} {name}", x=_LEFT + width + 5, y=y + 11
    )


@dataclass(frozen=True)
class AccuracyChart:
    """Accuracies that can be compared, as SVG. pictures: what they were measured on, for people.

    is_known: False where the results do not say which pictures these were.
    """

    pictures: str
    is_known: bool
    svg: str


_Points = list[tuple[Entry, MeasuredTop1]]


def accuracy_against_latency(entries: Sequence[Entry]) -> list[AccuracyChart]:
    """A chart for every picture set: accuracies of different ones never share an axis.

    A point is a result whose accuracy is known, with its interval.
    """
    by_set: dict[str, _Points] = {}
    for entry in entries:
        for accuracy in entry.accuracies:
            by_set.setdefault(pictures_key(accuracy), []).append((entry, accuracy))
    by_device = colours(entries)
    return [
        AccuracyChart(
            pictures=pictures_text(points[0][1]),
            is_known=points[0][1].picture_set is not None,
            svg=_accuracy_chart(points, by_device),
        )
        for points in by_set.values()
    ]


def _accuracy_chart(points: _Points, by_device: Mapping[str, str]) -> str:
    latencies = [entry.result.latency_ms.p50 for entry, _ in points]
    x = Scale(min(latencies) * 0.9, max(latencies) * 1.12, 70, _RIGHT - 150)
    low = min(100 * accuracy.low for _, accuracy in points)
    high = max(100 * accuracy.high for _, accuracy in points)
    bottom = 300
    y = Scale(low - 0.5, high + 0.5, bottom, 30)
    parts = [axis_x(x, bottom, 30, "latency p50, ms"), axis_y(y, 70, _RIGHT - 150, "top-1, %")]
    for (entry, accuracy), latency_ms in zip(points, latencies, strict=True):
        parts.append(_point(entry, accuracy, x(latency_ms), y, by_device[entry.device]))
    label = f"Accuracy against latency, on {pictures_text(points[0][1])}"
    return chart(_WIDTH, bottom + 40, label, parts)


def _point(entry: Entry, accuracy: MeasuredTop1, x: float, y: Scale, colour: str) -> str:
    low, top1, high = (100 * value for value in (accuracy.low, accuracy.top1, accuracy.high))
    p50 = entry.result.latency_ms.p50
    tip = tooltip(f"{entry.label} on {entry.device}: {top1:.2f} %, p50 {p50:.3f} ms")
    return (
        element("line", x1=x, x2=x, y1=y(low), y2=y(high), stroke=colour, stroke_width=1.5)
        + element("circle", tip, cx=x, cy=y(top1), r=5, fill=colour, class_="point")
        + text(_shortened(entry.label), x=x + 8, y=y(top1) + 4)
    )

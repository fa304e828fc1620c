"""Charts of latency and memory, as SVG, a row for every result.

A chart is drawn for a width in pixels: once for a desk and once for a phone, where letters would
be too small to read if the wide one were shrunk. The names of a row stand above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevit.results.compare import figure
from edgevit.results.page.entry import Entry, colours
from edgevit.results.page.svg import (
    Scale,
    axis_x,
    chart,
    element,
    shortened,
    text,
    tooltip,
    wrapped,
)

_LEFT, _TOP, _BARS = 14, 4, 34
_NAME, _LINE, _MOST_LINES = 20, 14, 3  # heights of the two names, and lines of the second
_BINS_PER_PIXEL = 0.14
_BAR_LABEL = 70  # pixels for "1234 steady" beside the longest bar


def distributions(entries: Sequence[Entry], width: int) -> str:
    """How often an inference took how long, a row a result, with p50, p90 and p99 marked."""
    times = [np.concatenate([np.asarray(r) for r in e.result.durations_us]) for e in entries]
    times = [t / 1e3 for t in times]
    low = min(float(t.min()) for t in times)
    high = max(float(np.percentile(t, 99.5)) for t in times)
    scale = Scale(low, high, _LEFT, width - _LEFT)
    rows = _Rows(entries, width)
    parts = [axis_x(scale, rows.bottom, _TOP, "ms")]
    for i, (entry, taken) in enumerate(zip(entries, times, strict=True)):
        base = rows.base(i)
        parts.append(rows.names(i))
        parts.append(_density(taken, scale, base, colours(entries)[entry.device]))
        parts += _percentiles(entry, scale, base)
    return chart(width, rows.bottom + 36, "Latency distributions", parts)


@dataclass(frozen=True)
class _Rows:
    """A row for every result: two names, which model and where it was measured, then the bars.

    Every row has room for as many lines as the longest name of where it was measured takes.
    """

    entries: Sequence[Entry]
    width: int

    def source_lines(self, entry: Entry) -> list[str]:
        return wrapped(entry.source, self.width - 2 * _LEFT, _MOST_LINES)

    @property
    def height(self) -> int:
        lines = max(len(self.source_lines(entry)) for entry in self.entries)
        return _NAME + _LINE * lines + _BARS + 8

    @property
    def bottom(self) -> int:
        return _TOP + self.height * len(self.entries)

    def base(self, number: int) -> int:
        """Where the bars of a row stand."""
        return _TOP + self.height * (number + 1) - 4

    def names(self, number: int) -> str:
        entry = self.entries[number]
        label = shortened(entry.label, self.width - 2 * _LEFT, strong=True)
        lines = self.source_lines(entry)
        first = self.base(number) - _BARS - 5 - _LINE * (len(lines) - 1)
        return text(label, x=_LEFT, y=first - _LINE, class_="strong") + "".join(
            text(line, x=_LEFT, y=first + _LINE * place, class_="weak")
            for place, line in enumerate(lines)
        )


def _density(taken: Any, scale: Scale, base: float, colour: str) -> str:
    """A filled curve of how many inferences fall on a place of the scale."""
    places = [scale(float(min(max(t, scale.low), scale.high))) for t in taken]
    bins = round((scale.last - scale.first) * _BINS_PER_PIXEL)
    counts, edges = np.histogram(places, bins, (scale.first, scale.last))
    tallest = max(int(counts.max()), 1)
    points = [f"{scale.first},{base}"]
    for count, start, end in zip(counts, edges[:-1], edges[1:], strict=True):
        y = base - (_BARS - 4) * count / tallest
        points += [f"{start:.1f},{y:.1f}", f"{end:.1f},{y:.1f}"]
    points.append(f"{scale.last},{base}")
    return element("polygon", points=" ".join(points), fill=colour, class_="density")


def _percentiles(entry: Entry, scale: Scale, base: float) -> list[str]:
    marks = []
    for name in ("p50", "p90", "p99"):
        value = figure(entry.result, f"latency_ms.{name}")
        if value is not None:
            x = scale(min(max(value, scale.low), scale.high))
            tip = tooltip(f"{name} {value:.3f} ms")
            marks.append(
                element("line", tip, x1=x, x2=x, y1=base - _BARS + 2, y2=base + 4, class_=name)
            )
    return marks


def memory(entries: Sequence[Entry], width: int) -> str:
    """Peaks of resident memory while loading and while running."""
    peaks = [
        [figure(entry.result, f"peak_memory_mib.{part}") for part in ("load", "steady")]
        for entry in entries
    ]
    most = max((v for values in peaks for v in values if v is not None), default=1.0)
    scale = Scale(0.0, most, _LEFT, width - _BAR_LABEL)
    rows = _Rows(entries, width)
    parts = [axis_x(scale, rows.bottom, _TOP, "MiB")]
    for i, values in enumerate(peaks):
        base = rows.base(i)
        parts.append(rows.names(i))
        for place, (name, value) in enumerate(zip(("load", "steady"), values, strict=True)):
            parts.append(_bar(name, value, scale, base - _BARS + 2 + 16 * place))
    return chart(width, rows.bottom + 36, "Peak memory", parts)


def _bar(name: str, value: float | None, scale: Scale, y: float) -> str:
    if value is None:
        return text(f"{name}: unavailable", x=_LEFT + 4, y=y + 11, class_="weak")
    width = scale(value) - _LEFT
    return element("rect", x=_LEFT, y=y, width=width, height=13, class_=f"bar {name}") + text(
        f"{value:.0f} {name}", x=_LEFT + width + 5, y=y + 11
    )

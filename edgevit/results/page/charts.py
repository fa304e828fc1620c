"""Charts of latency and memory, as SVG, a row for every result.

A chart is drawn for a width in pixels: once for a desk and once for a phone, where letters would
be too small to read if the wide one were shrunk. The names of a row stand above it.
"""

from __future__ import annotations

from collections.abc import Sequence
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
)

_LEFT, _TOP, _NAMES, _BARS = 14, 4, 34, 34
_ROW = _NAMES + _BARS + 8
_BINS_PER_PIXEL = 0.14
_BAR_LABEL = 70  # pixels for "1234 steady" beside the longest bar


def distributions(entries: Sequence[Entry], width: int) -> str:
    """How often an inference took how long, a row a result, with p50, p90 and p99 marked."""
    times = [np.concatenate([np.asarray(r) for r in e.result.durations_us]) for e in entries]
    times = [t / 1e3 for t in times]
    low = min(float(t.min()) for t in times)
    high = max(float(np.percentile(t, 99.5)) for t in times)
    scale = Scale(low, high, _LEFT, width - _LEFT)
    bottom = _TOP + _ROW * len(entries)
    parts = [axis_x(scale, bottom, _TOP, "ms")]
    for i, (entry, taken) in enumerate(zip(entries, times, strict=True)):
        base = _TOP + _ROW * (i + 1) - 4
        parts.append(_names(entry, base - _BARS, width))
        parts.append(_density(taken, scale, base, colours(entries)[entry.device]))
        parts += _percentiles(entry, scale, base)
    return chart(width, bottom + 36, "Latency distributions", parts)


def _names(entry: Entry, bottom: float, width: int) -> str:
    """Two lines above the row: which model, and where that was measured."""
    room = width - 2 * _LEFT
    return text(
        shortened(entry.label, room, strong=True), x=_LEFT, y=bottom - 19, class_="strong"
    ) + text(shortened(entry.source, room), x=_LEFT, y=bottom - 5, class_="weak")


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
    figures = [
        (entry, [figure(entry.result, f"peak_memory_mib.{part}") for part in ("load", "steady")])
        for entry in entries
    ]
    most = max((v for _, values in figures for v in values if v is not None), default=1.0)
    scale = Scale(0.0, most, _LEFT, width - _BAR_LABEL)
    bottom = _TOP + _ROW * len(entries)
    parts = [axis_x(scale, bottom, _TOP, "MiB")]
    for i, (entry, values) in enumerate(figures):
        base = _TOP + _ROW * (i + 1) - 4
        parts.append(_names(entry, base - _BARS, width))
        for place, (name, value) in enumerate(zip(("load", "steady"), values, strict=True)):
            parts.append(_bar(name, value, scale, base - _BARS + 2 + 16 * place))
    return chart(width, bottom + 36, "Peak memory", parts)


def _bar(name: str, value: float | None, scale: Scale, y: float) -> str:
    if value is None:
        return text(f"{name}: unavailable", x=_LEFT + 4, y=y + 11, class_="weak")
    width = scale(value) - _LEFT
    return element("rect", x=_LEFT, y=y, width=width, height=13, class_=f"bar {name}") + text(
        f"{value:.0f} {name}", x=_LEFT + width + 5, y=y + 11
    )

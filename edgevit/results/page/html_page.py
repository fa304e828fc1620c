"""``edgevit report``: results of several devices and models as one page without any other file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

from edgevit.common.schema import to_plain
from edgevit.common.version import __version__
from edgevit.results.compare import differing_conditions, figure
from edgevit.results.page.accuracy_chart import AccuracyChart, Point, accuracy_against_latency
from edgevit.results.page.charts import distributions, memory
from edgevit.results.page.entry import Entry, colours
from edgevit.results.page.svg import element

# Nothing may be fetched and no script may run, whatever stands in a result.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --weak: #68707c; --line: #d9dde3; --paper: #fff;
  --load: #56b4e9; --steady: #0072b2; --warn: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --weak: #9aa3af; --line: #373d46;
  --paper: #14171b; --warn: #f2b8b5 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } h3 { font-size: 1rem }
table { border-collapse: collapse; font-size: .88rem; width: 100% }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; fill: var(--ink) }
.narrow { display: none }
svg .grid { stroke: var(--line) } svg .weak { fill: var(--weak) } svg .strong { font-weight: 600 }
svg .spread { stroke-width: 1.5; opacity: .55 }
svg .number, svg .weak, svg .strong { paint-order: stroke; stroke: var(--paper); stroke-width: 3px }
svg .density { opacity: .75 } svg .p50, svg .p90, svg .p99 { stroke: var(--ink); stroke-width: 1.6 }
svg .p90 { stroke-dasharray: 4 2 } svg .p99 { stroke-dasharray: 1 2 }
svg .load { fill: var(--load) } svg .steady { fill: var(--steady) }
.weak { color: var(--weak) } .warn { color: var(--warn); font-weight: 600 }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .35em 0 1em }
summary { cursor: pointer; padding: .3rem 0 } dl { display: grid; grid-template-columns: auto 1fr;
  gap: .15rem 1rem; font-size: .85rem; overflow-wrap: anywhere } dd { margin: 0 }
@media (max-width: 42rem) {
  .narrow { display: block } .wide, th { display: none }
  tr { display: block; border-bottom: 1px solid var(--line); padding: .4rem 0 }
  td, td.number { display: flex; justify-content: space-between; gap: 1rem; border: 0;
    padding: .1rem 0; text-align: right; white-space: normal; overflow-wrap: anywhere }
  td::before { content: attr(data-label); color: var(--weak); text-align: left;
    white-space: nowrap }
  dl { display: block } dd { margin: 0 0 .3rem 1rem }
}
"""


def page(entries: Sequence[Entry], title: str = "edgevit report") -> str:
    """The whole page. Everything that comes from a result is escaped."""
    body = [
        element("h1", escape(title)),
        _section("Results", _table(_COLUMNS, map(_row, entries))),
        _section(
            "Latency, back to back",
            _legend(entries)
            + _chart(lambda width: distributions(entries, width))
            + _note("Lines: p50, p90 (dashed), p99 (dotted), where there are enough samples."),
        ),
        _section("Peak memory of a fresh process", _chart(lambda width: memory(entries, width))),
        _section("Accuracy against latency", _accuracy(entries)),
        _section("Conditions", "".join(map(_conditions, entries)) + _differences(entries)),
        element("p", f"made by edgevit {escape(__version__)}", class_="weak"),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


_ONE_SET_A_CHART = (
    "Accuracies of different picture sets cannot be compared: every set has a chart of its own."
)
_UNKNOWN_SET = (
    "These results do not say which pictures their accuracy was measured on, so they may not be "
    "comparable. Evaluate again: edgevit eval BUNDLE IMAGES --json > x.json"
)


def _accuracy(entries: Sequence[Entry]) -> str:
    """A chart for every picture set, and a note where there are several."""
    charts = accuracy_against_latency(entries)
    if not charts:
        return _note("No result has a known accuracy. Add one: edgevit eval DATA --json > x.json")
    parts = [_legend(entries)]
    if len(charts) > 1:
        parts.append(element("p", escape(_ONE_SET_A_CHART), class_="warn"))
    for each in charts:
        parts.append(element("h3", escape(f"Measured on {each.pictures}")))
        if not each.is_known:
            parts.append(_note(_UNKNOWN_SET))
        parts += [_chart(each.svg), _accuracy_table(each)]
    return "".join(parts)


_ACCURACY_COLUMNS = ("point", "result", "{}", "images", "p50", "accuracy from")


def _accuracy_table(chart: AccuracyChart) -> str:
    """What the numbers in a chart stand for, with figures, number of images and source."""
    has_intervals = any(each.accuracy.low < each.accuracy.high for each in chart.points)
    metric = f"{escape(chart.metric)} (95 %)" if has_intervals else escape(chart.metric)
    columns = [column.format(metric) for column in _ACCURACY_COLUMNS]
    return _table(columns, map(_accuracy_row, chart.points))


def _accuracy_row(point: Point) -> list[tuple[str, bool]]:
    accuracy = point.accuracy
    top1, low, high = (100 * value for value in (accuracy.top1, accuracy.low, accuracy.high))
    images = "unknown" if accuracy.images is None else str(accuracy.images)
    return [
        (str(point.number), False),
        (_named(point.entry), False),
        (f"{top1:.2f} %" + (f" ({low:.1f} to {high:.1f})" if low < high else ""), True),
        (images, True),
        (f"{point.latency_ms:.3f} ms", True),
        (escape(accuracy.source), False),
    ]


def _section(title: str, content: str) -> str:
    return element("section", element("h2", escape(title)) + content)


_WIDE_PX, _NARROW_PX = 860, 360


def _chart(draw: Callable[[int], str]) -> str:
    """Drawn twice, for a desk and for a phone; the page shows the one that fits."""
    wide = element("div", draw(_WIDE_PX), class_="wide")
    return wide + element("div", draw(_NARROW_PX), class_="narrow")


def _note(content: str) -> str:
    return element("p", escape(content), class_="weak")


def _legend(entries: Sequence[Entry]) -> str:
    keys = (
        element("span", "", class_="key", style=f"background:{colour}") + escape(device)
        for device, colour in colours(entries).items()
    )
    return element("p", "".join(keys), class_="legend")


_COLUMNS = (
    "result",
    "device",
    "runtime",
    "p50",
    "p90",
    "p99",
    "images/s",
    "cold start",
    "energy",
    "samples",
)


def _table(columns: Sequence[str], rows: Iterable[Sequence[tuple[str, bool]]]) -> str:
    """Rows of (markup, whether it is a number). On a phone, every cell names its column."""
    head = element("tr", "".join(element("th", column) for column in columns))
    body = (element("tr", "".join(map(_cell, columns, cells))) for cells in rows)
    return element("table", head + "".join(body))


def _cell(column: str, cell: tuple[str, bool]) -> str:
    content, is_number = cell
    names = {"class_": "number"} if is_number else {}
    return element("td", element("div", content), data_label=column, **names)


def _named(entry: Entry) -> str:
    return escape(entry.label) + element("div", escape(entry.name), class_="weak")


def _row(entry: Entry) -> list[tuple[str, bool]]:
    result = entry.result
    warning = element("div", "disturbed", class_="warn") if result.disturbed else ""
    numbers = (
        ("latency_ms.p50", "{:.3f} ms"),
        ("latency_ms.p90", "{:.3f} ms"),
        ("latency_ms.p99", "{:.3f} ms"),
        ("throughput_images_per_s", "{:.1f}"),
        ("cold_start_ms.total", "{:.0f} ms"),
        ("energy.per_inference_mj", "{:.2f} mJ"),
    )
    return [
        (_named(entry) + warning, False),
        (escape(entry.device), False),
        (escape(result.conditions.runtime), False),
        *((_number(figure(result, path), form), True) for path, form in numbers),
        (str(result.latency_ms.samples), True),
    ]


def _number(value: float | None, form: str) -> str:
    return form.format(value) if value is not None else '<span class="weak">unavailable</span>'


def _conditions(entry: Entry) -> str:
    """All that stands in the result, but the single durations."""
    content = to_plain(entry.result)
    shown = ("options", "conditions", "during", "energy", "model")
    facts = dict(_flat({name: content[name] for name in shown}))
    items = "".join(
        element("dt", escape(name), class_="weak") + element("dd", escape(value))
        for name, value in facts.items()
    )
    heading = element("h3", escape(f"{entry.name}: {entry.label} on {entry.device}"))
    reasons = "".join(
        element("p", f"Disturbed: {escape(str(reason))}", class_="warn")
        for reason in entry.result.disturbances
    )
    folded = element("details", element("summary", "all conditions") + element("dl", items))
    return heading + reasons + folded


def _flat(content: Any, prefix: str = "") -> list[tuple[str, str]]:
    """``a.b.c`` and its value, for every leaf."""
    if isinstance(content, dict) and content:
        return [
            leaf
            for key, value in content.items()
            for leaf in _flat(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, "unavailable" if content is None else str(content))]


def _differences(entries: Sequence[Entry]) -> str:
    """What was not the same as in the first result: a ratio is of all of it together."""
    parts = []
    for entry in entries[1:]:
        differing = differing_conditions(entries[0].result, entry.result)
        listed = "".join(element("li", escape(condition)) for condition in differing)
        if listed:
            heading = f"{entry.name} differs from {entries[0].name} in:"
            parts.append(element("p", escape(heading)) + element("ul", listed))
    return "".join(parts)

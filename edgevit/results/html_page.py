"""``edgevit report``: results of several devices and models as one page without any other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from edgevit.common.schema import to_plain
from edgevit.common.version import __version__
from edgevit.results.charts import Entry, accuracy_against_latency, colours, distributions, memory
from edgevit.results.compare import differing_conditions, figure
from edgevit.results.svg import element

# Nothing may be fetched and no script may run, whatever stands in a result.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --weak: #68707c; --line: #d9dde3; --paper: #fff;
  --load: #56b4e9; --steady: #0072b2; --warn: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --weak: #9aa3af; --line: #373d46;
  --paper: #14171b; --warn: #f2b8b5 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } h3 { font-size: 1rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .88rem; width: 100% }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
svg { width: 100%; min-width: 34rem; height: auto; font: 11px system-ui, sans-serif;
  fill: var(--ink) }
svg .grid { stroke: var(--line) } svg .weak { fill: var(--weak) } svg .strong { font-weight: 600 }
svg .density { opacity: .75 } svg .p50, svg .p90, svg .p99 { stroke: var(--ink); stroke-width: 1.6 }
svg .p90 { stroke-dasharray: 4 2 } svg .p99 { stroke-dasharray: 1 2 }
svg .load { fill: var(--load) } svg .steady { fill: var(--steady) }
.weak { color: var(--weak) } .warn { color: var(--warn); font-weight: 600 }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .35em 0 1em }
summary { cursor: pointer; padding: .3rem 0 } dl { display: grid; grid-template-columns: auto 1fr;
  gap: .15rem 1rem; font-size: .85rem; overflow-wrap: anywhere } dd { margin: 0 }
"""


def page(entries: Sequence[Entry], title: str = "edgevit report") -> str:
    """The whole page. Everything that comes from a result is escaped."""
    body = [
        element("h1", escape(title)),
        _section("Results", _table(entries)),
        _section(
            "Latency, back to back",
            _legend(entries)
            + _scrolling(distributions(entries))
            + _note("Lines: p50, p90 (dashed), p99 (dotted), where there are enough samples."),
        ),
        _section("Peak memory of a fresh process", _scrolling(memory(entries))),
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
        parts.append(_scrolling(each.svg))
    return "".join(parts)


def _section(title: str, content: str) -> str:
    return element("section", element("h2", escape(title)) + content)


def _scrolling(content: str) -> str:
    """Wider than a phone, it scrolls by itself and the page does not."""
    return element("div", content, class_="scroll")


def _note(content: str) -> str:
    return element("p", escape(content), class_="weak")


def _legend(entries: Sequence[Entry]) -> str:
    keys = (
        element("span", "", class_="key", style=f"background:{colour}") + escape(device)
        for device, colour in colours(entries).items()
    )
    return element("p", "".join(keys), class_="legend")


_COLUMNS = ("model", "device", "runtime", "p50", "p90", "p99", "images/s", "cold start", "energy")


def _table(entries: Sequence[Entry]) -> str:
    head = element("tr", "".join(element("th", column) for column in _COLUMNS))
    rows = "".join(element("tr", _row(entry)) for entry in entries)
    return _scrolling(element("table", head + rows))


def _row(entry: Entry) -> str:
    result = entry.result
    warning = element("div", "disturbed", class_="warn") if result.disturbed else ""
    first = element("div", escape(entry.label), title=entry.name) + warning
    words = (entry.device, result.conditions.runtime)
    numbers = (
        ("latency_ms.p50", "{:.3f} ms"),
        ("latency_ms.p90", "{:.3f} ms"),
        ("latency_ms.p99", "{:.3f} ms"),
        ("throughput_images_per_s", "{:.1f}"),
        ("cold_start_ms.total", "{:.0f} ms"),
        ("energy.per_inference_mj", "{:.2f} mJ"),
    )
    return (
        element("td", first)
        + "".join(element("td", escape(word)) for word in words)
        + "".join(
            element("td", _number(figure(result, path), form), class_="number")
            for path, form in numbers
        )
    )


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
    reasons = "".join(
        element("p", f"Disturbed: {escape(str(reason))}", class_="warn")
        for reason in entry.result.disturbances
    )
    heading = element("summary", escape(f"{entry.name}: {entry.label} on {entry.device}"))
    return reasons + element("details", heading + element("dl", items))


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

"""Just enough SVG for charts in a page: escaped elements, scales, axes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

# The mean width of letters in names like "int8-onnxruntime-x86-avx2", with some room to spare.
_LETTER_PX, _STRONG_LETTER_PX = 6.2, 6.8
# Distinct for people with any colour vision (Okabe and Ito's palette), on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#7f7f7f")


def element(tag: str, content: str = "", **attributes: object) -> str:
    """``element("rect", x=1, stroke_width=2)``; content is markup, attributes are text."""
    listed = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_shown(value))}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{listed}>{content}</{tag}>"


def text(content: object, **attributes: object) -> str:
    """A text element; the content is escaped."""
    return element("text", escape(str(content)), **attributes)


def tooltip(content: str) -> str:
    return element("title", escape(content))


def chart(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    """A whole picture that shrinks with the page; ``label`` is what a screen reader says."""
    return element(
        "svg",
        "".join(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=label,
    )


@dataclass(frozen=True)
class Scale:
    """From values to places; logarithmic where values span more than a factor of four.

    is_linear: never logarithmic, as for percentages.
    """

    low: float
    high: float
    first: float
    last: float
    is_linear: bool = False

    @property
    def is_log(self) -> bool:
        return not self.is_linear and self.low > 0 and self.high / self.low > 4

    def __call__(self, value: float) -> float:
        by: Callable[[float], float] = math.log if self.is_log else float
        if self.high == self.low:
            return (self.first + self.last) / 2
        share = (by(value) - by(self.low)) / (by(self.high) - by(self.low))
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Round values within the scale, about five."""
        if self.high == self.low:
            return [self.low]
        if self.is_log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [m * 10.0**decade for decade in decades for m in (1, 2, 5)]
        else:
            step = _round_step((self.high - self.low) / 5)
            first = math.ceil(self.low / step)
            values = [step * i for i in range(first, math.floor(self.high / step) + 1)]
        return [v for v in values if self.low * (1 - 1e-9) <= v <= self.high * (1 + 1e-9)]


def _round_step(rough: float) -> float:
    scale = 10.0 ** math.floor(math.log10(rough))
    return next(m * scale for m in (1.0, 2.0, 5.0, 10.0) if m * scale >= rough)


def axis_x(scale: Scale, y: float, top: float, unit: str) -> str:
    """Ticks with faint lines up to ``top``, and the unit at the right end."""
    parts = []
    for value in scale.ticks():
        x = scale(value)
        parts.append(element("line", x1=x, x2=x, y1=top, y2=y, class_="grid"))
        parts.append(text(f"{value:g}", x=x, y=y + 14, text_anchor="middle"))
    parts.append(text(unit, x=scale.last, y=y + 28, text_anchor="end"))
    return "".join(parts)


def axis_y(scale: Scale, x: float, right: float, unit: str) -> str:
    parts = []
    for value in scale.ticks():
        y = scale(value)
        parts.append(element("line", x1=x, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(text(f"{value:g}", x=x - 6, y=y + 4, text_anchor="end"))
    parts.append(text(unit, x=2, y=scale.last - 8))
    return "".join(parts)


def shortened(line: str, room_px: float, strong: bool = False) -> str:
    """As much of a line as surely fits a width, in the page's letters of 11 pixels."""
    most = int(room_px / (_STRONG_LETTER_PX if strong else _LETTER_PX))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def wrapped(line: str, room_px: float, most_lines: int) -> list[str]:
    """A line as several that surely fit a width, in the page's letters of 11 pixels."""
    return textwrap.wrap(line, int(room_px / _LETTER_PX), max_lines=most_lines, placeholder="…")


def _shown(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)

"""A line of text on a picture, in a font that has its characters.

ASCII is drawn with OpenCV's strokes, which is quick. Other characters need an outline font: OpenCV
5 brings one that has most scripts. OpenCV 4 has none; there accents are left out, and what is still
not ASCII becomes a question mark.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import cv2

from edgevit.common.untrusted.sanitize import printable
from edgevit.images.image_io import Image

Colour = tuple[int, int, int]

_LONGEST = 60
_HERSHEY = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_PX = 22  # of a capital letter of scale 1
_SHARE_OF_WIDTH = 0.94
_SHARE_OF_HEIGHT = 1 / 20
_CAPITAL_SHARE = 0.72  # of an outline font's size
_WEIGHT = 400


class Extent(NamedTuple):
    """In pixels: above the baseline, and below it."""

    width: int
    ascent: int
    descent: int


class Line(Protocol):
    """A text with its font and size."""

    @property
    def extent(self) -> Extent: ...

    def draw(self, picture: Image, place: tuple[int, int], colour: Colour) -> None:
        """Onto the picture; ``place`` is where the baseline starts."""
        ...


def fitted_line(text: str, width: int, height: int) -> Line:
    """A line a twentieth of the picture's height, or less where it would not fit its width."""
    text = _cut(" ".join(printable(text).split()))  # OpenCV crashes at half a character
    if text.isascii() or not hasattr(cv2, "FontFace"):
        return _StrokedLine(_ascii(text), width, height)
    return _OutlinedLine(text, width, height)


def _cut(text: str) -> str:
    """Without the middle of a name that would be too small to read: the end is its share."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 15]}...{text[-12:]}"


class _StrokedLine:
    def __init__(self, text: str, width: int, height: int) -> None:
        (at_one, _), _ = cv2.getTextSize(text, _HERSHEY, 1.0, 1)
        fitting = _SHARE_OF_WIDTH * width / max(1, at_one)
        self._text = text
        self._scale = min(height * _SHARE_OF_HEIGHT / _CAPITAL_PX, fitting)
        self._thickness = max(1, round(1.6 * self._scale))

    @property
    def extent(self) -> Extent:
        (width, ascent), base = cv2.getTextSize(self._text, _HERSHEY, self._scale, self._thickness)
        return Extent(width, ascent, base)

    def draw(self, picture: Image, place: tuple[int, int], colour: Colour) -> None:
        cv2.putText(
            picture, self._text, place, _HERSHEY, self._scale, colour, self._thickness, cv2.LINE_AA
        )


class _OutlinedLine:
    def __init__(self, text: str, width: int, height: int) -> None:
        wanted_px = height * _SHARE_OF_HEIGHT / _CAPITAL_SHARE
        at_wanted = _outlined_rectangle(text, round(wanted_px))[2]
        fitting = wanted_px * _SHARE_OF_WIDTH * width / max(1, at_wanted)
        self._text, self._size_px = text, max(1, int(min(wanted_px, fitting)))

    @property
    def extent(self) -> Extent:
        _, top, width, height = _outlined_rectangle(self._text, self._size_px)
        return Extent(width, -top, max(0, height + top))

    def draw(self, picture: Image, place: tuple[int, int], colour: Colour) -> None:
        face, draw = _outline_font(), cv2.putText
        draw(picture, self._text, place, colour, face, self._size_px, _WEIGHT)


def _outlined_rectangle(text: str, size_px: int) -> tuple[int, int, int, int]:
    """(x, y, width, height) of a text whose baseline starts at the origin."""
    measure: Any = cv2.getTextSize
    x, y, width, height = measure((0, 0), text, (0, 0), _outline_font(), size_px, _WEIGHT)
    return x, y, width, height


@lru_cache(maxsize=1)
def _outline_font() -> Any:
    make: Any = cv2.FontFace  # type: ignore[attr-defined,unused-ignore]
    return make("sans")


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return kept.encode("ascii", "replace").decode()

"""The header of a picture, and reading numbers that may not be there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

ByteOrder = Literal["big", "little"]
MOST_PARTS = 100_000  # chunks, blocks or boxes that are looked at; no real picture has as many


class HeaderError(ValueError):
    """A picture whose structure contradicts itself, or ends too early."""


@dataclass(frozen=True)
class Header:
    """What is known of a picture before it is decoded.

    width, height: pixels as stored, before the orientation is applied.
    orientation: EXIF's number, 1 to 8: how the stored rows are to be turned and mirrored.
    alpha: whether some pixels may be transparent.
    premultiplied: whether OpenCV gives colours that are multiplied by their alpha already.
    transparent_grey: the shade of a greyscale PNG that is transparent, as OpenCV gives it.
    frames: more than 1 for an animation or a file of several pages.
    most_pixels: of the largest area that a decoder takes memory for, such as a TIFF's tile.
    cost: how many times the memory of a JPEG's pixel a decoded pixel takes.
    skipped: ranges of bytes (start, end) that the decoder has no need to see.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    alpha: bool = False
    frames: int = 1
    most_pixels: int = 0
    cost: int = 1
    skipped: tuple[tuple[int, int], ...] = ()
    premultiplied: bool = False
    transparent_grey: int | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise HeaderError(f"it has the size {self.width}x{self.height}")

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) that the decoder may give: OpenCV turns a TIFF by itself."""
        upright = (self.height, self.width)
        return (upright, upright[::-1]) if self.format == "TIFF" else (upright,)

    @property
    def pixels(self) -> int:
        """The larger of the picture's own area and :attr:`most_pixels`."""
        return max(self.width * self.height, self.most_pixels)


def number(data: bytes, start: int, size: int, order: ByteOrder = "big") -> int:
    """An unsigned integer of ``size`` bytes.

    Raises:
        HeaderError: the bytes are not there.
    """
    found = data[start : start + size]
    if start < 0 or len(found) < size:
        raise HeaderError("it ends in the middle of its header")
    return int.from_bytes(found, order)


def without(data: bytes, ranges: Iterable[tuple[int, int]]) -> bytes:
    """The bytes outside of some ranges (start, end), which are in order."""
    kept, position = [], 0
    for start, end in ranges:
        kept.append(data[position:start])
        position = end
    return b"".join((*kept, data[position:])) if kept else data

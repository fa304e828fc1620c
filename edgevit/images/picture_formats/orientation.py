"""Which way up a picture is: EXIF (TIFF tag 274), or XMP where EXIF does not say."""

from __future__ import annotations

import re

from edgevit.images.picture_formats.structure import ByteOrder, HeaderError, number

UPRIGHT = 1
_TAG = 274
_TYPE_BYTES = {1: 1, 3: 2, 4: 4}  # BYTE, SHORT (what the standard asks for), LONG
_XMP = re.compile(rb"tiff:Orientation\s{0,9}(?:=\s{0,9}[\"']|>)\s{0,9}([1-8])\b")
# Quarter turns clockwise, and whether it is mirrored left to right before them.
TURNS = {1: 0, 2: 0, 3: 2, 4: 2, 5: 3, 6: 1, 7: 1, 8: 3}
MIRRORED = frozenset({2, 4, 5, 7})


def orientation(exif: bytes | None, xmp: bytes | None) -> int:
    """EXIF's number, 1 to 8; 1 where neither says."""
    found = None if exif is None else _of_exif(exif)
    if found is None and xmp is not None and (match := _XMP.search(xmp)):
        found = int(match[1])
    return found or UPRIGHT


def from_turns(turns: int, mirrored: bool) -> int:
    """EXIF's number for so many quarter turns clockwise, mirrored left to right before them."""
    wanted = turns % 4
    return next(n for n in TURNS if TURNS[n] == wanted and (n in MIRRORED) == mirrored)


def _of_exif(exif: bytes) -> int | None:
    """The tag of the first directory; None if it is not there, or the block is damaged."""
    exif = exif.removeprefix(b"Exif\0\0")
    order: ByteOrder = "little" if exif[:2] == b"II" else "big"
    try:
        directory = number(exif, 4, 4, order)
        for i in range(number(exif, directory, 2, order)):
            entry = directory + 2 + 12 * i
            if number(exif, entry, 2, order) == _TAG:
                size = _TYPE_BYTES.get(number(exif, entry + 2, 2, order), 2)
                value = number(exif, entry + 8, size, order)
                return value if value in TURNS else None
    except HeaderError:  # a damaged EXIF block does not make the picture unreadable
        return None
    return None

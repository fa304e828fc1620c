"""BMP, GIF and the PNM family: small headers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgevit.images.picture_formats.structure import MOST_PARTS, Header, HeaderError, number

_SPACE = rb"(?:\s|#[^\n]*\n)+"  # comments count as space
_PNM = re.compile(rb"P[1-6]" + _SPACE + rb"([0-9]{1,9})" + _SPACE + rb"([0-9]{1,9})\s")
_PNM_HEAD_BYTES = 4096
_BITFIELDS = 3  # a BMP's compression: masks say where the colours are
_FRAME, _EXTENSION, _CONTROL = 0x2C, 0x21, 0xF9  # of a GIF's blocks
_TRANSPARENT = 0x01


def read_bmp(data: bytes) -> Header:
    """Raises HeaderError for a header that is cut."""
    size = _little(data, 14, 4)
    if size == 12:  # OS/2's
        return Header("BMP", _little(data, 18, 2), _little(data, 20, 2))
    width, height = _signed(data, 18), abs(_signed(data, 22))
    has_masks = size >= 56 and _little(data, 30, 4) == _BITFIELDS
    return Header("BMP", width, height, alpha=has_masks and _little(data, 66, 4) != 0)


def read_pnm(data: bytes) -> Header:
    """Raises HeaderError for a header without width and height."""
    match = _PNM.match(data[:_PNM_HEAD_BYTES])
    if match is None:
        raise HeaderError("its header has no width and height")
    return Header("PNM", int(match[1]), int(match[2]))


def read_gif(data: bytes) -> Header:
    """Raises HeaderError for a GIF without a frame; a cut one counts the frames that are there."""
    width, height = _little(data, 6, 2), _little(data, 8, 2)
    frames, alpha, largest = 0, False, width * height
    for kind, start in _gif_blocks(data):
        if kind == _FRAME:
            frames += 1
            right = _little(data, start, 2) + _little(data, start + 4, 2)
            bottom = _little(data, start + 2, 2) + _little(data, start + 6, 2)
            largest = max(largest, right * bottom)
        elif kind == _CONTROL and not frames:
            alpha = bool(number(data, start, 1) & _TRANSPARENT)
    if not frames:
        raise HeaderError("it holds no frame")
    return Header("GIF", width, height, alpha=alpha, frames=frames, most_pixels=largest)


def _gif_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """(kind, start) of frames and controls, up to the end of what is there, or a limit."""
    position = 13 + _table_bytes(number(data, 10, 1))
    try:
        for _ in range(MOST_PARTS):
            kind = number(data, position, 1)
            if kind == _FRAME:
                yield kind, position + 1
                position += 11 + _table_bytes(number(data, position + 9, 1))
            elif kind == _EXTENSION:
                yield number(data, position + 1, 1), position + 3
                position += 2
            else:
                return
            position = _after_sub_blocks(data, position)
    except HeaderError:  # cut: what is there may be decoded
        return


def _after_sub_blocks(data: bytes, position: int) -> int:
    for _ in range(MOST_PARTS):
        length = number(data, position, 1)
        position += 1 + length
        if not length:
            return position
    raise HeaderError(f"it has more than {MOST_PARTS} parts")


def _table_bytes(flags: int) -> int:
    """Of a colour table, if there is one."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _little(data: bytes, start: int, size: int) -> int:
    return number(data, start, size, "little")


def _signed(data: bytes, start: int) -> int:
    value = _little(data, start, 4)
    return value - (1 << 32) if value >> 31 else value

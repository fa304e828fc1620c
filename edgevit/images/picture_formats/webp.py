"""WebP: the chunks of its RIFF container (RFC 9649)."""

from __future__ import annotations

from collections.abc import Iterator

from edgevit.images.picture_formats.orientation import orientation
from edgevit.images.picture_formats.structure import MOST_PARTS, Header, HeaderError, number

_ALPHA_FLAG = 0x10
_LOSSY_START = b"\x9d\x01\x2a"


def read(data: bytes) -> Header:
    """Raises HeaderError for a chunk that claims more bytes than there are."""
    sizes: list[tuple[int, int]] = []
    alpha, frames = False, 0
    notes: dict[bytes, bytes] = {}
    for kind, start, end in _chunks(data):
        if kind in _SIZES:
            sizes.append(_SIZES[kind](data, start))
            alpha = alpha or _has_alpha(data, kind, start)
            frames += kind == b"ANMF"
        elif kind in {b"EXIF", b"XMP "}:
            notes.setdefault(kind, data[start:end])
    if not sizes:
        raise HeaderError("it holds no picture")
    (width, height), largest = sizes[0], max(w * h for w, h in sizes)
    turned = orientation(notes.get(b"EXIF"), notes.get(b"XMP "))
    return Header("WebP", width, height, turned, alpha, max(1, frames), most_pixels=largest)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of the content of every chunk."""
    position, last = 12, min(len(data), 8 + _little(data, 4, 4))
    for _ in range(MOST_PARTS):
        if position + 8 > last:
            return
        start = position + 8
        end = start + _little(data, position + 4, 4)
        if end > len(data):
            raise HeaderError("a part of it claims more bytes than the file has")
        yield data[position : position + 4], start, end
        position = end + end % 2
    raise HeaderError(f"it has more than {MOST_PARTS} parts")


def _has_alpha(data: bytes, kind: bytes, start: int) -> bool:
    if kind == b"VP8X":
        return bool(number(data, start, 1) & _ALPHA_FLAG)
    return kind == b"VP8L" and bool(_little(data, start + 1, 4) >> 28 & 1)


def _canvas_size(data: bytes, start: int) -> tuple[int, int]:
    return 1 + _little(data, start + 4, 3), 1 + _little(data, start + 7, 3)


def _frame_size(data: bytes, start: int) -> tuple[int, int]:
    return 1 + _little(data, start + 6, 3), 1 + _little(data, start + 9, 3)


def _lossy_size(data: bytes, start: int) -> tuple[int, int]:
    if data[start + 3 : start + 6] != _LOSSY_START:
        raise HeaderError("it does not begin with a key frame")
    return _little(data, start + 6, 2) & 0x3FFF, _little(data, start + 8, 2) & 0x3FFF


def _lossless_size(data: bytes, start: int) -> tuple[int, int]:
    bits = _little(data, start + 1, 4)
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


def _little(data: bytes, start: int, size: int) -> int:
    return number(data, start, size, "little")


_SIZES = {
    b"VP8X": _canvas_size,
    b"ANMF": _frame_size,
    b"VP8 ": _lossy_size,
    b"VP8L": _lossless_size,
}

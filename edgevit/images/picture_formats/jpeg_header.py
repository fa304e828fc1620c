"""JPEG: segments up to the first scan (ITU-T T.81, annex B)."""

from __future__ import annotations

from edgevit.images import jpeg
from edgevit.images.picture_formats.orientation import orientation
from edgevit.images.picture_formats.structure import Header, HeaderError, number

_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame; the rest are tables
_HUFFMAN = (0xC0, 0xC1, 0xC2)
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_BLOCK_PIXELS = 64


def read(data: bytes) -> Header:
    """Raises HeaderError for a JPEG without a frame, or one that claims more than it can hold."""
    frame: tuple[int, int, int] | None = None
    exif = xmp = None
    position = 2
    for _ in range(jpeg.MOST_SEGMENTS):
        code, position = _marker(data, position)
        if code in _WITHOUT_LENGTH:
            continue
        length = number(data, position, 2)
        content = position + 2
        position += max(2, length)
        if code in _FRAMES:
            frame = code, number(data, content + 3, 2), number(data, content + 1, 2)
        elif code == _APP1 and exif is None and data.startswith(_EXIF, content):
            exif = data[content + len(_EXIF) : position]
        elif code == _APP1 and xmp is None and data.startswith(_XMP, content):
            xmp = data[content + len(_XMP) : position]
        elif code == _START_OF_SCAN:
            break
    if frame is None:
        raise HeaderError("it has no frame before its first scan")
    kind, width, height = frame
    _refuse_impossible(kind, width, height, len(data))
    return Header("JPEG", width, height, orientation(exif, xmp))


def _marker(data: bytes, position: int) -> tuple[int, int]:
    """The code of the next marker, and where its segment begins; stray bytes are passed over."""
    start = data.find(b"\xff", position)
    while start >= 0 and data[start : start + 2] in (b"\xff\xff", b"\xff\x00"):
        start = data.find(b"\xff", start + 1)
    if start < 0:
        raise HeaderError("it ends before its first scan")
    return number(data, start + 1, 1), start + 2


def _refuse_impossible(kind: int, width: int, height: int, size: int) -> None:
    """Huffman codes take a bit a block at the very least: a tiny file is no large picture."""
    if kind in _HUFFMAN and width * height > 8 * size * _BLOCK_PIXELS:
        raise HeaderError(f"it claims {width}x{height} pixels, which {size} bytes cannot hold")

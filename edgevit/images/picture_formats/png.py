"""PNG: every chunk up to the last, with its length checked (PNG specification, chapter 5)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from edgevit.images.picture_formats.orientation import orientation
from edgevit.images.picture_formats.structure import MOST_PARTS, Header, HeaderError, number

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_MOST_XMP_BYTES = 1 << 20
_GREY, _WITH_ALPHA = 0, (4, 6)  # colour types
# Shown by the decoder's own warnings, or decompressed by it, or an animation: of no use to it.
_KEPT = {b"tRNS"}


def read(data: bytes) -> Header:
    """Raises HeaderError for a chunk that claims more bytes than there are, or a missing end."""
    width = height = depth = colour = 0
    frames, alpha = 1, False
    exif = xmp = shade = None
    skipped = []
    for kind, start, end in _chunks(data):
        content = start + 8
        if kind == b"IHDR":
            width, height = number(data, content, 4), number(data, content + 4, 4)
            depth, colour = number(data, content + 8, 1), number(data, content + 9, 1)
        elif kind == b"tRNS":
            alpha = True
            shade = _shade(number(data, content, 2), depth) if colour == _GREY else None
        elif kind == b"acTL":
            frames = max(1, number(data, content, 4))
        elif kind == b"eXIf":
            exif = data[content : end - 4]
        elif kind == b"iTXt" and data.startswith(_XMP_KEYWORD, content):
            xmp = _text(data[content + len(_XMP_KEYWORD) : end - 4])
        if not kind[:1].isupper() and kind not in _KEPT:
            skipped.append((start, end))
    return Header(
        "PNG",
        width,
        height,
        orientation(exif, xmp),
        alpha or colour in _WITH_ALPHA,
        frames,
        skipped=tuple(skipped),
        transparent_grey=shade,
        cost=2 if depth == 16 else 1,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of every chunk, length and checksum included."""
    position = len(SIGNATURE)
    for _ in range(MOST_PARTS):
        length = number(data, position, 4)
        kind, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            raise HeaderError(f"a part of it claims {length} bytes, more than the file has")
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end
    raise HeaderError(f"it has more than {MOST_PARTS} parts")


def _shade(value: int, depth: int) -> int:
    """A sample of ``depth`` bits as OpenCV gives it: 8 bits, or 16."""
    return value if depth >= 8 else value * 255 // ((1 << depth) - 1)


def _text(content: bytes) -> bytes:
    """The text of an iTXt chunk after its keyword, decompressed up to a limit."""
    compressed = content[:1] == b"\x01"
    text = content[2:].split(b"\0", 2)[-1]
    if not compressed:
        return text
    try:
        return zlib.decompressobj().decompress(text, _MOST_XMP_BYTES)
    except zlib.error:  # a damaged note does not make the picture unreadable
        return b""

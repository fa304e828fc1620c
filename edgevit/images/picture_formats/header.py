"""From the first bytes of a file to its format, and to the reader of its header."""

from __future__ import annotations

from collections.abc import Callable

from edgevit.images.picture_formats import boxes, jpeg_header, png, simple, tiff, webp
from edgevit.images.picture_formats.structure import Header, HeaderError

HEAD_BYTES = 64  # enough to tell a format
_READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": jpeg_header.read,
    "PNG": png.read,
    "WebP": webp.read,
    "BMP": simple.read_bmp,
    "GIF": simple.read_gif,
    "PNM": simple.read_pnm,
    "TIFF": tiff.read,
    "AVIF": boxes.read_avif,
    "JPEG 2000": boxes.read_jpeg_2000,
}
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (png.SIGNATURE, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (boxes.CODESTREAM, "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"8BPS", "PSD"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC"}
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


def format_of(head: bytes) -> str | None:
    """The format that a file of these first bytes has, None for no picture.

    Formats that are recognised but not read (HEIC, JPEG XL, PSD) are named too.
    """
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in (b" ", b"\t", b"\r", b"\n"):
        return "PNM"
    return _brand(head)


def read_header(data: bytes) -> Header:
    """The header of a picture.

    Raises:
        HeaderError: no picture of a format that is read, or a structure that cannot be right.
    """
    name = format_of(data[:HEAD_BYTES])
    if name is None:
        raise HeaderError("it is no picture")
    reader = _READERS.get(name)
    if reader is None:
        raise HeaderError(f"it is {name}, which is not read")
    return reader(data)


def _brand(head: bytes) -> str | None:
    """Of a file in boxes, by its ``ftyp``: the major brand, then the compatible ones."""
    if head[4:8] != b"ftyp":
        return None
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, len(head), 4))]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)

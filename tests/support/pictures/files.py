"""Pictures as files, made by Pillow or byte by byte: what tests of hostile and odd input share."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image as Pillow

from edgevit.images.image_io import Image

ORIENTATION = 0x112


def saved(picture: Any, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """An array, or a Pillow image, in a format that Pillow writes."""
    image = picture if isinstance(picture, Pillow.Image) else Pillow.fromarray(picture)
    buffer = BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def corners() -> Image:
    """Red, blue, green and black quarters: every turn and mirror image is told apart."""
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :24], picture[:16, 24:], picture[16:, :24] = (255, 0, 0), (0, 0, 255), (0, 255, 0)
    return picture


def exif(orientation: int, kind: int = 3, order: str = ">") -> bytes:
    """A TIFF block of one entry; ``kind`` is 3 for SHORT, 4 for LONG."""
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *(orientation, 0)[: 5 - kind])
    mark = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHI", ORIENTATION, kind, 1) + value
    return mark + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def xmp(orientation: int) -> bytes:
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'
        % orientation
    )


def with_segment(jpeg: bytes, content: bytes) -> bytes:
    """A JPEG with another APP1 segment at its start."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def png(*chunks: tuple[bytes, bytes], claimed: dict[bytes, int] | None = None) -> bytes:
    """A PNG of these chunks; ``claimed`` lengths are put in the place of the true ones."""
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks:
        length = (claimed or {}).get(kind, len(content))
        data += struct.pack(">I", length) + kind + content
        data += struct.pack(">I", zlib.crc32(kind + content))
    return data


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def jpeg_claiming(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header says another size."""
    start = next(i for i in range(len(jpeg)) if jpeg[i : i + 2] in (b"\xff\xc0", b"\xff\xc2"))
    return jpeg[: start + 5] + struct.pack(">HH", height, width) + jpeg[start + 9 :]

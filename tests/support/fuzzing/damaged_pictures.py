"""Pictures of every format: a picture, or one clear error, and little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevit.images import image_io
from edgevit.images.image_io import Image
from support.fuzzing.mutations import changed_bytes, one_of
from support.fuzzing.sandbox import Subject
from support.pictures.files import saved


def subjects(scratch: Path, seed: int) -> list[Subject]:
    """One, of all formats."""
    del scratch
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 10, 3), np.uint8)
    seeds = [data for _, data in whole_pictures(pixels.repeat(4, 0).repeat(4, 1))]

    def make(number: int) -> bytes:
        rng = np.random.default_rng([seed, number])
        return changed_bytes(one_of(seeds, rng), rng)

    return [Subject("pictures", make, read_picture)]


def whole_pictures(photo: Image) -> list[tuple[str, bytes]]:
    """Of every format, with and without alpha."""
    kinds = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "JPEG2000", "TIFF", "BMP", "PPM")
    clear = np.dstack([photo, photo[..., 0]])
    return [
        *((kind, saved(photo, kind)) for kind in kinds),
        *((f"{kind} with alpha", saved(clear, kind)) for kind in ("PNG", "WEBP", "TIFF", "AVIF")),
        ("progressive JPEG", saved(photo, "JPEG", progressive=True)),
        ("lossless WEBP", saved(photo, "WEBP", lossless=True)),
        ("TIFF with LZW", saved(photo, "TIFF", compression="tiff_lzw")),
    ]


def read_picture(data: bytes) -> None:
    """Raises InputError for what is no picture; anything else is a fault."""
    picture = image_io.decode(data, "a picture")
    assert (picture.dtype, picture.ndim) == (np.uint8, 3)

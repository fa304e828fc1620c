"""Pictures in: decode, resize, batch. OpenCV and numpy; arrays are uint8 RGB [H, W, 3]."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.common.files import write_atomically
from edgevit.images import jpeg
from edgevit.zoo.spec import Preprocess

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
MAX_PIXELS = 200_000_000  # above this a picture is refused: a bomb, or a mistake
_FORMATS = "JPEG, PNG, WebP, BMP, TIFF, PPM"

# OpenCV reads its limit when it is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2  # noqa: E402  (after its limits are set)

Image = NDArray[np.uint8]


def decode(data: bytes, source: str) -> Image:
    """Decodes an encoded picture to uint8 RGB [H, W, 3].

    Greyscale is repeated, alpha is dropped, 16 bits are scaled to 8, EXIF rotation is applied.

    Raises:
        InputError: not a picture, damaged, or too large; ``source`` names it.
    """
    if not data:
        raise InputError(f"{source} is empty. Give a picture ({_FORMATS}).")
    if data.startswith(jpeg.START_OF_IMAGE) and not jpeg.is_whole(data):
        raise InputError(f"{source} is a truncated JPEG: its end is missing. Fetch it again.")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        limit = f"{MAX_PIXELS // 1_000_000} million pixels"
        raise InputError(
            f"{source} is damaged or larger than {limit}, the most that is read."
        ) from error
    if picture is None:
        raise InputError(f"{source} is damaged or not a picture. Give one of: {_FORMATS}.")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def read(path: Path) -> Image:
    """Reads a picture file; see :func:`decode`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"No such image: {path}.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; an image file was expected.") from None
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    return decode(data, str(path))


def is_picture(path: Path) -> bool:
    """Whether a file begins like a picture, whatever its suffix."""
    return path.is_file() and cv2.haveImageReader(str(path))


def resize(picture: Image, preprocess: Preprocess) -> Image:
    """To the model's size, uint8 [size, size, 3]; both sides are squashed to it.

    Area averaging when it shrinks (no aliasing), bilinear when it grows.
    """
    size = preprocess.size_px
    height, width = picture.shape[:2]
    if (height, width) == (size, size):
        return picture
    shrinks = height >= size and width >= size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (size, size), interpolation=interpolation)
    return np.asarray(resized, dtype=np.uint8)


def batch(pictures: Iterable[Image], preprocess: Preprocess) -> Image:
    """Pictures of any size to one model input, uint8 [B, size, size, 3]."""
    return np.stack([resize(picture, preprocess) for picture in pictures])


def write(path: Path, picture: Image) -> None:
    """Writes uint8 RGB [H, W, 3] in the format of the suffix, whole or not at all.

    Raises:
        InputError: a suffix that is no picture's, or a place that cannot be written to.
    """
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise InputError(f"{path} must end in a picture's suffix, such as .png or .jpg.")
    coded, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not coded:
        raise InputError(f"{path}: OpenCV could not encode the picture as {suffix}.")
    write_atomically(path, lambda aside: aside.write_bytes(data.tobytes()))


def files_in(folder: Path) -> list[Path]:
    """Image files below a folder, sorted.

    Raises:
        InputError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise InputError(f"No image found below {folder} (looked for {known}).")
    return found

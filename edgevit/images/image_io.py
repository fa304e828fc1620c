"""Pictures in: decode, resize, batch. OpenCV and numpy; arrays are uint8 RGB [H, W, 3].

A picture is decoded in the same way for training, calibration and the device: greyscale is
repeated, 16 bits are scaled to 8, transparent parts are laid on white, the orientation that EXIF
(or XMP, or AVIF) tells is applied, and of several frames the first is taken.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.bounded import open_regular, read_bytes
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS, MOST_PIXELS
from edgevit.images import jpeg
from edgevit.images.picture_formats import (
    HEAD_BYTES,
    Header,
    HeaderError,
    format_of,
    read_header,
    without,
)
from edgevit.images.picture_formats.orientation import MIRRORED, TURNS
from edgevit.images.resizing import fit
from edgevit.images.transparency import on_white
from edgevit.zoo.interface.preprocess import Preprocess

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif",
    ".avif", ".jp2", ".j2k", ".jpf", ".jpx", ".pnm", ".ppm", ".pgm", ".pbm",
})
# Pictures that are not read; known by name, so that nobody takes them for something else.
UNREAD_SUFFIXES = frozenset({
    ".heic", ".heif", ".hif", ".jxl", ".svg", ".psd", ".ico", ".eps", ".xcf", ".tga",
    ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2",
})
# fmt: on
WRITABLE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
_MOST_BYTES = 512 << 20
_FORMATS = "JPEG, PNG, WebP, GIF, AVIF, JPEG 2000, TIFF, BMP, PNM"
_STRIP_BYTES = 16 << 20
_LARGE_PIXELS = 16_000_000  # such pictures are decoded one at a time, whatever the threads

Image = NDArray[np.uint8]

if "OPENCV_LOG_LEVEL" not in os.environ:
    # What OpenCV cannot read is told in an error, not on the terminal. 0: silent.
    (getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel)(0)

_large_lock = threading.Lock()
_ROTATIONS = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass
class _Limit:
    pixels: int = DEFAULT_MAX_PIXELS


_limit = _Limit()


def set_max_pixels(pixels: int) -> None:
    """The largest picture that this process decodes; :data:`DEFAULT_MAX_PIXELS` at first.

    Raises:
        InputError: less than one pixel, or more than OpenCV decodes.
    """
    if not 1 <= pixels <= MOST_PIXELS:
        raise InputError(f"--max-pixels got {pixels}; expected 1 to {MOST_PIXELS}.")
    _limit.pixels = pixels


@dataclass(frozen=True)
class Picture:
    """A decoded picture, uint8 RGB [H, W, 3], and what its file said."""

    pixels: Image
    header: Header

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the file is not in the pixels."""
        frames = self.header.frames
        return (f"of its {frames} frames the first is taken",) if frames > 1 else ()


def decode(data: bytes, source: str) -> Image:
    """Decodes an encoded picture to uint8 RGB [H, W, 3]; see the module for how.

    Raises:
        InputError: not a picture, damaged, or too large; ``source`` names it.
    """
    return open_picture(data, source).pixels


def open_picture(data: bytes, source: str) -> Picture:
    """The same, with what its header says."""
    header = _checked_header(data, source)
    with _memory_for(header):
        decoded = _decode(data, header, source)
        pixels = on_white(decoded, header) if header.alpha else decoded
        _swap_blue_and_red(pixels)
        return Picture(_oriented(pixels, header.orientation), header)


def read(path: Path) -> Image:
    """Reads a picture file; see :func:`decode`."""
    return read_picture(path).pixels


def read_picture(path: Path) -> Picture:
    """The same, with what its header says."""
    return open_picture(read_bytes(path, _MOST_BYTES, "image"), str(path))


def is_picture(path: Path) -> bool:
    """Whether a file begins like a picture, whatever its suffix."""
    try:
        with open_regular(path) as file:
            return format_of(file.read(HEAD_BYTES)) is not None
    except InputError:
        return False


def resize(picture: Image, preprocess: Preprocess) -> Image:
    """To the model's size, uint8 [size, size, 3], as the manifest says: squash, crop or letterbox.

    A picture must go through here once: a crop of a crop is another picture.
    """
    return fit(picture, preprocess)


def batch(pictures: Iterable[Image], preprocess: Preprocess) -> Image:
    """Pictures of any size to one model input, uint8 [B, size, size, 3]."""
    return np.stack([resize(picture, preprocess) for picture in pictures])


def write(path: Path, picture: Image) -> None:
    """Writes uint8 RGB [H, W, 3] in the format of the suffix, whole or not at all.

    Raises:
        InputError: a suffix that is no picture's, or a place that cannot be written to.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise InputError(f"{path} must end in a picture's suffix, such as .png or .jpg.")
    coded, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not coded:
        raise InputError(f"{path}: OpenCV could not encode the picture as {suffix}.")
    write_atomically(path, lambda aside: aside.write_bytes(data.tobytes()))


def _checked_header(data: bytes, source: str) -> Header:
    if not data:
        raise InputError(f"{source} is empty. Give a picture ({_FORMATS}).")
    if data.startswith(jpeg.START_OF_IMAGE) and not jpeg.is_whole(data):
        raise InputError(f"{source} is a truncated JPEG: its end is missing. Fetch it again.")
    try:
        header = read_header(data)
    except HeaderError as error:
        raise _unreadable(source, str(error)) from None
    limit = _limit.pixels // header.cost
    if header.pixels > limit:
        raise InputError(
            f"{source} claims {header.width}x{header.height} ({header.pixels / 1e6:.1f} million "
            f"pixels); of a {header.format} at most {limit / 1e6:.1f} million are read. Shrink it, "
            f"or allow it: --max-pixels {header.pixels * header.cost}"
        )
    return header


def _unreadable(source: str, reason: str) -> InputError:
    return InputError(f"{source} is damaged or not a picture: {reason}. Give one of: {_FORMATS}.")


def _memory_for(header: Header) -> AbstractContextManager[object]:
    return _large_lock if header.pixels > _LARGE_PIXELS else nullcontext()


def _decode(data: bytes, header: Header, source: str) -> NDArray[Any]:
    """BGR of 8 bits; where the header tells of alpha, what the file holds, as OpenCV gives it."""
    data = without(data, header.skipped)
    opaque = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    flags = cv2.IMREAD_UNCHANGED if header.alpha else opaque
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        raise _undecodable(header, source) from error
    if picture is None or picture.shape[:2] not in header.shapes:
        raise _undecodable(header, source)
    return picture


def _swap_blue_and_red(picture: Image) -> None:
    """In place, and in strips: OpenCV copies what it converts in place."""
    rows = max(1, _STRIP_BYTES // max(1, picture[0].nbytes))
    for top in range(0, len(picture), rows):
        strip = picture[top : top + rows]
        cv2.cvtColor(strip, cv2.COLOR_BGR2RGB, dst=strip)


def _undecodable(header: Header, source: str) -> InputError:
    return _unreadable(source, f"OpenCV {cv2.__version__} cannot decode this {header.format}")


def _oriented(picture: Image, orientation: int) -> Image:
    """Turned and mirrored as EXIF's number says."""
    if orientation in MIRRORED:
        picture = np.asarray(cv2.flip(picture, 1), np.uint8)
    turns = TURNS[orientation]
    return np.asarray(cv2.rotate(picture, _ROTATIONS[turns]), np.uint8) if turns else picture

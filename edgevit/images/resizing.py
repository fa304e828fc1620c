"""A picture of any size as a square of the model's: squashed, cropped or letterboxed.

Area averaging along a side that shrinks (no aliasing), bilinear along one that grows.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.zoo.interface.preprocess import Preprocess

LETTERBOX_GREY = 114  # beside a letterboxed picture, as object detectors have it

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Rectangle:
    """In pixels of a picture; it may begin before the picture and end after it."""

    left: int
    top: int
    width: int
    height: int


def seen_part(height: int, width: int, preprocess: Preprocess) -> Rectangle:
    """The part of a picture that the model sees: what its whole input shows.

    The middle of it for a crop; for a letterbox a square around it.
    """
    if preprocess.resize == "squash":
        return Rectangle(0, 0, width, height)
    if preprocess.resize == "crop":
        side = max(1, round(min(height, width) * preprocess.crop_pct))
    else:
        side = max(height, width)
    return Rectangle((width - side) // 2, (height - side) // 2, side, side)


def fit(picture: Image, preprocess: Preprocess) -> Image:
    """uint8 RGB [H, W, 3] of any size to uint8 [size, size, 3].

    A crop is cut out first and then resized, so that a long thin picture is not enlarged for
    nothing; that differs from resizing first by less than a pixel of the picture.
    """
    size = preprocess.size_px
    if preprocess.resize == "letterbox":
        return _letterboxed(picture, size)
    part = seen_part(picture.shape[0], picture.shape[1], preprocess)
    right, bottom = part.left + part.width, part.top + part.height
    return _squashed(picture[part.top : bottom, part.left : right], size, size)


def _letterboxed(picture: Image, size: int) -> Image:
    """The whole picture in the middle of a grey square."""
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    fitting_height, fitting_width = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size - fitting_height) // 2, (size - fitting_width) // 2
    square = np.full((size, size, 3), LETTERBOX_GREY, np.uint8)
    fitting = _squashed(picture, fitting_width, fitting_height)
    square[top : top + fitting_height, left : left + fitting_width] = fitting
    return square


def _squashed(picture: Image, new_width: int, new_height: int) -> Image:
    """Both sides as they are asked for, whatever the aspect ratio."""
    height, width = picture.shape[:2]
    if (height, width) == (new_height, new_width):
        return picture
    if height >= new_height and width >= new_width:
        return _resized(picture, new_width, new_height, cv2.INTER_AREA)
    if height > new_height or width > new_width:
        # OpenCV averages areas only where no side grows: so the side that shrinks goes first.
        smaller = (min(width, new_width), min(height, new_height))
        picture = _resized(picture, *smaller, cv2.INTER_AREA)
    return _resized(picture, new_width, new_height, cv2.INTER_LINEAR)


def _resized(picture: Image, width: int, height: int, interpolation: int) -> Image:
    resized = cv2.resize(picture, (width, height), interpolation=interpolation)
    return np.asarray(resized, dtype=np.uint8)

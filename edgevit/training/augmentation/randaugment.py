"""The operations of RandAugment (arXiv 1909.13719) on uint8 RGB pictures.

Each takes a picture [H, W, 3] and a strength from -1 to 1; 0 changes nothing, except for
``equalise`` and ``autocontrast``, which have no strength.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.images.image_io import Image

Operation = Callable[[Image, float], Image]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEVELS = np.arange(256, dtype=np.float32)
_FACTOR = 0.9  # colour factors reach from 0.1 to 1.9
_MAX_DEGREES = 30.0
_MAX_SHEAR = 0.3
_MAX_SHIFT = 0.3  # of a side
_BLUR_SIGMA_PX = 1.0


def brightness(picture: Image, strength: float) -> Image:
    return _by_level(picture, _LEVELS * (1 + _FACTOR * strength))


def contrast(picture: Image, strength: float) -> Image:
    """About the picture's mean luma."""
    mean = float(np.asarray(cv2.mean(picture)[:3], np.float32) @ _LUMA)
    return _by_level(picture, mean + (_LEVELS - mean) * (1 + _FACTOR * strength))


def saturation(picture: Image, strength: float) -> Image:
    """Blends every pixel with its luma, or away from it."""
    factor = 1 + _FACTOR * strength
    matrix = factor * np.eye(3, dtype=np.float32) + (1 - factor) * np.tile(_LUMA, (3, 1))
    return np.asarray(cv2.transform(picture, matrix), np.uint8)


def sharpness(picture: Image, strength: float) -> Image:
    """Blends with a blurred copy, or away from it."""
    blurred = cv2.GaussianBlur(picture, (0, 0), _BLUR_SIGMA_PX)
    factor = 1 + _FACTOR * strength
    return np.asarray(cv2.addWeighted(picture, factor, blurred, 1 - factor, 0), np.uint8)


def posterise(picture: Image, strength: float) -> Image:
    """Keeps 8 to 4 bits."""
    bits = 8 - round(4 * abs(strength))
    return picture & np.uint8(0xFF << (8 - bits) & 0xFF)


def solarise(picture: Image, strength: float) -> Image:
    """Inverts what is brighter than a threshold."""
    threshold = 256 * (1 - abs(strength))
    return _by_level(picture, np.where(threshold > _LEVELS, _LEVELS, 255 - _LEVELS))


def autocontrast(picture: Image, strength: float) -> Image:
    """Stretches every channel to the full range."""
    del strength
    low = picture.min((0, 1)).astype(np.float32)
    span = picture.max((0, 1)) - low
    scale = np.where(span > 0, 255 / np.maximum(span, 1), 1).astype(np.float32)
    affine = np.column_stack([np.diag(scale), -low * scale * (span > 0)]).astype(np.float32)
    return np.asarray(cv2.transform(picture, affine), np.uint8)


def equalise(picture: Image, strength: float) -> Image:
    """Flattens the histogram of every channel."""
    del strength
    return np.dstack([cv2.equalizeHist(channel) for channel in cv2.split(picture)])


def rotate(picture: Image, strength: float) -> Image:
    height, width = picture.shape[:2]
    middle = ((width - 1) / 2, (height - 1) / 2)
    return _warp(picture, cv2.getRotationMatrix2D(middle, _MAX_DEGREES * strength, 1.0))


def shear_x(picture: Image, strength: float) -> Image:
    slope = _MAX_SHEAR * strength
    return _warp(picture, [[1, slope, -slope * picture.shape[0] / 2], [0, 1, 0]])


def shear_y(picture: Image, strength: float) -> Image:
    slope = _MAX_SHEAR * strength
    return _warp(picture, [[1, 0, 0], [slope, 1, -slope * picture.shape[1] / 2]])


def shift_x(picture: Image, strength: float) -> Image:
    return _warp(picture, [[1, 0, _MAX_SHIFT * strength * picture.shape[1]], [0, 1, 0]])


def shift_y(picture: Image, strength: float) -> Image:
    return _warp(picture, [[1, 0, 0], [0, 1, _MAX_SHIFT * strength * picture.shape[0]]])


OPERATIONS: tuple[Operation, ...] = (
    brightness,
    contrast,
    saturation,
    sharpness,
    posterise,
    solarise,
    autocontrast,
    equalise,
    rotate,
    shear_x,
    shear_y,
    shift_x,
    shift_y,
)


def _by_level(picture: Image, levels: NDArray[np.float32]) -> Image:
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table), np.uint8)


def _warp(picture: Image, matrix: object) -> Image:
    """An affine map; what comes in from outside mirrors the border."""
    size = (picture.shape[1], picture.shape[0])
    affine = np.asarray(matrix, np.float32)
    warped = cv2.warpAffine(picture, affine, size, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8)

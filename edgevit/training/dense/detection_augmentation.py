"""Augmentation of a picture together with its boxes: where it lies, mirrored, other colours.

A picture is placed on the model's square, larger or smaller than it fits and shifted at random;
what reaches beyond is cut off, and what stays empty has the grey of a letterbox. One affine map per
axis moves picture and boxes, so that they cannot part.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.images.image_io import Image
from edgevit.images.resizing import LETTERBOX_GREY

_LEAST_VISIBLE = 0.3  # of a box's area; less of an object is not an object to learn
_LEAST_SIDE_PX = 2.0

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class DetectionAugmentation:
    """scale: of the size at which the picture just fits. aspect: width by height, at most.

    flip, flip_vertical: shares of mirrored pictures. colour: how far brightness, contrast and
    saturation move, as a share.
    """

    scale: tuple[float, float] = (0.75, 1.6)
    aspect: float = 1.15
    flip: float = 0.5
    flip_vertical: float = 0.0
    colour: float = 0.25


@dataclass(frozen=True)
class Placement:
    """Where a picture lies on the model's square: scaled by (x, y), then moved, in pixels."""

    scale: tuple[float, float]
    shift: tuple[float, float]

    def boxes(self, boxes: Boxes) -> Boxes:
        """[N, 4] in pixels of the picture to pixels of the square."""
        return np.asarray(boxes * np.tile(self.scale, 2) + np.tile(self.shift, 2), np.float32)


def placed(picture: Image, placement: Placement, size_px: int) -> Image:
    """The square, uint8 [size, size, 3]; areas are averaged where the picture shrinks."""
    height, width = picture.shape[:2]
    (scale_x, scale_y), (left, top) = placement.scale, placement.shift
    wide, high = max(1, round(width * scale_x)), max(1, round(height * scale_y))
    kind = cv2.INTER_AREA if scale_x < 1 and scale_y < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (wide, high), interpolation=kind)
    x, y = round(left), round(top)
    square = np.full((size_px, size_px, 3), LETTERBOX_GREY, np.uint8)
    rows = slice(max(0, y), min(size_px, y + high))
    columns = slice(max(0, x), min(size_px, x + wide))
    square[rows, columns] = resized[
        rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
    ]
    return square


def drawn_placement(
    height: int, width: int, size_px: int, recipe: DetectionAugmentation, rng: np.random.Generator
) -> Placement:
    """A random one; of a picture that is larger than the square, no side is left empty."""
    fit = size_px / max(height, width)
    scale = fit * float(np.exp(rng.uniform(*np.log(recipe.scale))))
    stretch = float(np.exp(rng.uniform(-1, 1) * np.log(recipe.aspect) / 2))
    scales = (scale * stretch, scale / stretch)
    room = (size_px - width * scales[0], size_px - height * scales[1])
    shift = tuple(float(np.round(rng.uniform(min(0.0, each), max(0.0, each)))) for each in room)
    return Placement(scales, (shift[0], shift[1]))


def augment(
    picture: Image,
    boxes: Boxes,
    size_px: int,
    recipe: DetectionAugmentation,
    rng: np.random.Generator,
) -> tuple[Image, Boxes, NDArray[np.bool_]]:
    """A picture and its boxes on the model's square.

    Returns:
        (uint8 [size, size, 3], boxes [N, 4] clipped to it, bool [N]: which are still seen).
    """
    height, width = picture.shape[:2]
    placement = drawn_placement(height, width, size_px, recipe, rng)
    square, moved = placed(picture, placement, size_px), placement.boxes(boxes)
    if rng.random() < recipe.flip:
        square = np.ascontiguousarray(square[:, ::-1])
        moved[:, [0, 2]] = size_px - moved[:, [2, 0]]
    if rng.random() < recipe.flip_vertical:
        square = np.ascontiguousarray(square[::-1])
        moved[:, [1, 3]] = size_px - moved[:, [3, 1]]
    clipped = np.clip(moved, 0, size_px)
    return recoloured(square, recipe.colour, rng), clipped, _seen(moved, clipped)


def recoloured(picture: Image, strength: float, rng: np.random.Generator) -> Image:
    """Brightness, contrast and saturation, each times a factor around 1."""
    bright, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    pixels = picture.astype(np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + (pixels - grey) * saturation
    pixels = (pixels - 128) * contrast + 128 * bright
    return np.asarray(np.clip(pixels, 0, 255), np.uint8)


def _seen(moved: Boxes, clipped: Boxes) -> NDArray[np.bool_]:
    sides = clipped[:, 2:] - clipped[:, :2]
    whole = np.prod(moved[:, 2:] - moved[:, :2], axis=1)
    return np.asarray(
        (np.prod(sides, axis=1) >= _LEAST_VISIBLE * whole) & (sides.min(axis=1) >= _LEAST_SIDE_PX)
        if len(sides)
        else np.zeros(0, bool)
    )

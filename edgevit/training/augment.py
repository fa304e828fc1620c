"""Augmentation of one picture: crop, flip, colour. uint8 RGB in and out, OpenCV and numpy."""

from __future__ import annotations

import cv2
import numpy as np

from edgevit.images import Image, resize
from edgevit.spec import Preprocess
from edgevit.training.recipe import Recipe

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CROP_TRIES = 10


def augment(picture: Image, size_px: int, recipe: Recipe, rng: np.random.Generator) -> Image:
    """A random view of a picture, uint8 [size, size, 3]."""
    view = random_crop(picture, size_px, recipe, rng)
    if rng.random() < 0.5:
        view = view[:, ::-1]
    return jitter_colour(view, recipe.colour, rng)


def random_crop(picture: Image, size_px: int, recipe: Recipe, rng: np.random.Generator) -> Image:
    """A crop of random area and aspect, resized; the whole picture if none fits in some tries."""
    height, width = picture.shape[:2]
    low, high = np.log(recipe.crop_aspect)
    for _ in range(_CROP_TRIES):
        area = height * width * rng.uniform(*recipe.crop_area)
        aspect = np.exp(rng.uniform(low, high))
        crop_w, crop_h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < crop_w <= width and 0 < crop_h <= height:
            y = int(rng.integers(height - crop_h + 1))
            x = int(rng.integers(width - crop_w + 1))
            picture = picture[y : y + crop_h, x : x + crop_w]
            break
    return resize(picture, Preprocess(size_px))


def jitter_colour(picture: Image, strength: float, rng: np.random.Generator) -> Image:
    """Brightness, contrast and saturation, each by a factor in 1 +/- strength, as one affine map.

    Saturation blends every pixel with its luma (a 3x3 matrix), brightness scales it, contrast
    stretches it about the picture's mean luma.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    grey = np.tile(_LUMA, (3, 1))
    matrix = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * grey)
    mean = brightness * float(np.asarray(cv2.mean(picture)[:3]) @ _LUMA)
    affine = np.column_stack([matrix, np.full(3, (1 - contrast) * mean)]).astype(np.float32)
    return np.asarray(cv2.transform(picture, affine), np.uint8)  # saturates to 0..255

"""Augmentation of one picture: a crop, then what happens to the crop. uint8 RGB in and out.

A teacher answers for the crop; flips, colours and small shifts do not change its answer, so they
are drawn anew every time the crop is used.

Ours and not kornia's (0.9): every picture has a generator of its own, so that a run resumes exactly
and a teacher's answers to a crop serve many epochs, where kornia draws for a batch; and it takes
1.4 ms of a processor a picture where kornia takes 2.3 (benchmarks/training/augmentation_cost.py,
the least of seven on a busy machine).
"""

from __future__ import annotations

import cv2
import numpy as np

from edgevit.images.image_io import Image, resize
from edgevit.training.augmentation.randaugment import OPERATIONS
from edgevit.training.recipe import ERASED_AREA, ERASED_ASPECT, Recipe
from edgevit.zoo.interface.preprocess import Preprocess

_CROP_TRIES = 10


def crop(picture: Image, size_px: int, recipe: Recipe, rng: np.random.Generator) -> Image:
    """A crop of random area and aspect, resized; the whole picture if none fits in some tries."""
    height, width = picture.shape[:2]
    for _ in range(_CROP_TRIES):
        crop_w, crop_h = _rectangle(height * width, recipe.crop_area, recipe.crop_aspect, rng)
        if 0 < crop_w <= width and 0 < crop_h <= height:
            y = int(rng.integers(height - crop_h + 1))
            x = int(rng.integers(width - crop_w + 1))
            picture = picture[y : y + crop_h, x : x + crop_w]
            break
    return resize(picture, Preprocess(size_px))


def mirrored(view: Image) -> Image:
    """Left and right exchanged."""
    return np.asarray(cv2.flip(view, 1), np.uint8)


def disturb(view: Image, recipe: Recipe, rng: np.random.Generator) -> Image:
    """RandAugment, and an erased rectangle by chance."""
    view = rand_augment(view, recipe.random_ops, recipe.random_strength, rng)
    return erase(view, rng) if rng.random() < recipe.erase else view


def rand_augment(view: Image, operations: int, strength: float, rng: np.random.Generator) -> Image:
    """So many operations, drawn with replacement, each of a strength in -strength..strength.

    Source: RandAugment, arXiv 1909.13719; the strength is uniform instead of fixed.
    """
    for choice in rng.integers(len(OPERATIONS), size=operations):
        view = OPERATIONS[choice](view, float(rng.uniform(-strength, strength)))
    return view


def erase(view: Image, rng: np.random.Generator) -> Image:
    """A rectangle of one random colour (random erasing, arXiv 1708.04896)."""
    height, width = view.shape[:2]
    erased_w, erased_h = _rectangle(height * width, ERASED_AREA, ERASED_ASPECT, rng)
    y, x = int(rng.integers(height)), int(rng.integers(width))
    erased = view.copy()
    erased[y : y + erased_h, x : x + erased_w] = rng.integers(0, 256, 3)
    return erased


def _rectangle(
    whole: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[int, int]:
    """(width, height) of a random share of an area and a random aspect, even on a log scale."""
    pixels = whole * rng.uniform(*area)
    ratio = np.exp(rng.uniform(*np.log(aspect)))
    return round(np.sqrt(pixels * ratio)), round(np.sqrt(pixels / ratio))

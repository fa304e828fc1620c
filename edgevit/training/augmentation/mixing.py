"""Mixup and cutmix: the pictures of a batch blended in pairs, targets alike.

Neighbours are pairs: a batch is shuffled already. So every process of a distributed run can mix its
part of a batch as one process mixes all of it.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.images.image_io import Image
from edgevit.training.recipe import Recipe


class Mix(NamedTuple):
    """partner: int64 [B], which picture each was mixed with. share: float32 [B], its own part."""

    partner: NDArray[np.int64]
    share: NDArray[np.float32]

    @property
    def is_plain(self) -> bool:
        """Whether every picture is itself alone."""
        return bool((self.share == 1).all())


def mix_batch(images: Image, recipe: Recipe, rng: np.random.Generator) -> tuple[Image, Mix]:
    """uint8 [B, H, W, 3] to the same, mixed by chance, and how.

    Half of the mixed batches are blended (mixup, arXiv 1710.09412), half have a rectangle of the
    partner pasted in (cutmix, arXiv 1905.04899). An unmixed batch has share 1.
    """
    count = len(images)
    if rng.random() >= recipe.mix:
        return images, Mix(np.arange(count), np.ones(count, np.float32))
    partner = np.minimum(np.arange(count) ^ 1, count - 1)
    if rng.random() < 0.5:
        share = float(rng.beta(recipe.mixup_alpha, recipe.mixup_alpha))
        rows = images.reshape(count, -1)
        blended = cv2.addWeighted(rows, share, rows[partner], 1 - share, 0)
        images = np.asarray(blended, np.uint8).reshape(images.shape)
    else:
        share = float(rng.beta(recipe.cutmix_alpha, recipe.cutmix_alpha))
        images, share = _paste(images, partner, share, rng)
    return images, Mix(partner, np.full(count, share, np.float32))


def _paste(
    images: Image, partner: NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[Image, float]:
    """The same rectangle of every partner; the share that is left after cutting at the border."""
    height, width = images.shape[1:3]
    half = np.sqrt(1 - share) / 2
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    top, bottom = (int(np.clip(y + s * half * height, 0, height)) for s in (-1, 1))
    left, right = (int(np.clip(x + s * half * width, 0, width)) for s in (-1, 1))
    pasted = images.copy()
    pasted[:, top:bottom, left:right] = images[partner, top:bottom, left:right]
    return pasted, 1 - (bottom - top) * (right - left) / (height * width)

"""Labelled pictures as batches: random part, flip and colours, the same for the same seed.

Every sample draws from a generator seeded by (seed, epoch, place), so that a resumed run sees what
an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.common.workers import workers
from edgevit.images.image_io import Image
from edgevit.images.labelled_masks.mask_folder import Labels, MaskFolder
from edgevit.training.dense.segmentation_recipe import SegmentationRecipe

_PREFETCHED = 3


class LabelledBatch(NamedTuple):
    """images: uint8 [B, S, S, 3] RGB. labels: uint8 [B, S, S]; 255 is not counted."""

    images: Image
    labels: Labels


class LabelledLoader:
    """Decodes once and augments in threads; pictures stay in memory up to half a gigabyte."""

    def __init__(self, folder: MaskFolder, size_px: int, batch: int, threads: int) -> None:
        self.folder, self.size_px, self.batch, self.threads = folder, size_px, batch, threads
        self._cache: dict[int, tuple[Image, Labels]] = {}
        self._bytes = 0

    @property
    def training_steps(self) -> int:
        """Steps of an epoch: whole batches, at least one."""
        return max(1, len(self.folder) // self.batch)

    def training(
        self, recipe: SegmentationRecipe, epoch: int, first_step: int = 0
    ) -> Iterator[LabelledBatch]:
        """Shuffled and augmented."""
        order = np.random.default_rng((recipe.seed, epoch)).permutation(len(self.folder))
        steps = range(first_step, self.training_steps)
        chunks = (order[step * self.batch : (step + 1) * self.batch] for step in steps)

        def sample(place: int) -> tuple[Image, Labels]:
            rng = np.random.default_rng((recipe.seed, epoch, place))
            return augmented(*self.pair(place), self.size_px, recipe, rng)

        with workers(self.threads) as pool:
            waiting: list[list[Future[tuple[Image, Labels]]]] = []

            def submit(count: int) -> None:
                for chunk in islice(chunks, count):
                    waiting.append([pool.submit(sample, int(place)) for place in chunk])

            submit(_PREFETCHED)
            while waiting:
                pairs = [future.result() for future in waiting.pop(0)]
                submit(1)
                yield LabelledBatch(
                    np.stack([p for p, _ in pairs]), np.stack([m for _, m in pairs])
                )

    def pair(self, place: int) -> tuple[Image, Labels]:
        """As the folder gives it."""
        if place not in self._cache:
            picture, labels = self.folder.pair(place)
            if self._bytes > 512 << 20:
                return picture, labels
            self._bytes += picture.nbytes + labels.nbytes
            self._cache[place] = picture, labels
        return self._cache[place]


def augmented(
    picture: Image,
    labels: Labels,
    size_px: int,
    recipe: SegmentationRecipe,
    rng: np.random.Generator,
) -> tuple[Image, Labels]:
    """A random part of both as a square, by chance mirrored, and its colours changed.

    uint8 RGB [H, W, 3] and uint8 [H, W] to the same of ``size_px`` a side. A part that is larger
    than the picture leaves the mean colour beside it, which is not counted.
    """
    height, width = labels.shape
    scale = float(rng.uniform(*recipe.scale))
    aspect = float(np.exp(rng.uniform(-1, 1) * np.log(recipe.aspect)))
    part_w, part_h = width * scale * aspect**0.5, height * scale / aspect**0.5
    left = float(rng.uniform(min(0.0, width - part_w), max(0.0, width - part_w)))
    top = float(rng.uniform(min(0.0, height - part_h), max(0.0, height - part_h)))
    mirror = bool(rng.random() < 0.5)
    x_scale, y_scale = size_px / part_w, size_px / part_h
    matrix = np.array([[x_scale, 0, -left * x_scale], [0, y_scale, -top * y_scale]], np.float64)
    if mirror:
        matrix[0] = [-x_scale, 0, size_px - 1 + left * x_scale]
    if max(1 / x_scale, 1 / y_scale) > 1:  # a warp reads four pixels: blurred first, none is lost
        sigma = (max(0.01, 0.4 * (1 / x_scale - 1) + 0.2), max(0.01, 0.4 * (1 / y_scale - 1) + 0.2))
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma[0], sigmaY=sigma[1]), np.uint8)
    side = (size_px, size_px)
    seen = cv2.warpAffine(
        picture, matrix, side, flags=cv2.INTER_LINEAR, borderValue=(124, 116, 104)
    )
    mask = cv2.warpAffine(labels, matrix, side, flags=cv2.INTER_NEAREST, borderValue=255)
    return _recoloured(np.asarray(seen, np.uint8), recipe.colour, rng), np.asarray(mask, np.uint8)


def _recoloured(picture: Image, strength: float, rng: np.random.Generator) -> Image:
    """Brightness, contrast, and a tint of every channel, each up to ``strength``."""
    gain = 1 + rng.uniform(-strength, strength)
    tint = gain * (1 + rng.uniform(-strength / 3, strength / 3, 3))
    shift = 255 * rng.uniform(-strength, strength) / 3
    table: NDArray[np.float64] = np.arange(256)[:, None] * tint + shift + 128 * (1 - gain)
    return np.asarray(cv2.LUT(picture, np.clip(table, 0, 255).astype(np.uint8)[None]), np.uint8)

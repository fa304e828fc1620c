"""A folder of pictures with boxes as batches; the same for the same seed and epoch.

Every picture draws from a generator seeded by (seed, epoch, index), whatever the threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from edgevit.common.workers import workers
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.images.labelled_boxes.box_folder import BoxFolder
from edgevit.training.dense.detection_augmentation import augment
from edgevit.training.dense.detection_recipe import DetectionRecipe
from edgevit.training.dense.detection_targets import Truth
from edgevit.zoo.interface.preprocess import Preprocess

_CACHE_BYTES = 3 * 1024**3
_ORDER, _SAMPLES = 0, 1  # streams of random numbers that must not be the same


class DetectionBatch(NamedTuple):
    """images: uint8 [B, H, W, 3] RGB. truth: the objects of every picture."""

    images: Image
    truth: list[Truth]


class DetectionLoader:
    """Decodes, augments and stacks. Decoded pictures stay in memory while they fit in 3 GiB."""

    def __init__(self, folder: BoxFolder, preprocess: Preprocess, batch: int, threads: int) -> None:
        self.folder = folder
        self.preprocess = preprocess
        self.batch = batch
        self.threads = threads
        self._cache: dict[int, Image] = {}
        self._cached_bytes = 0

    @property
    def training_steps(self) -> int:
        """Steps of an epoch; a last batch that is not whole is left out."""
        return max(1, len(self.folder) // self.batch)

    def training(
        self, recipe: DetectionRecipe, epoch: int, first_step: int = 0
    ) -> Iterator[DetectionBatch]:
        """Shuffled and augmented; one batch is made while another is used."""
        order = np.random.default_rng((recipe.seed, _ORDER, epoch)).permutation(len(self.folder))

        def sample(index: int) -> tuple[Image, Truth]:
            rng = np.random.default_rng((recipe.seed, _SAMPLES, epoch, index))
            labelled = self.folder.pictures[index]
            view, boxes, seen = augment(
                self._picture(index),
                labelled.boxes,
                self.preprocess.size_px,
                recipe.augmentation,
                rng,
            )
            used = seen & ~labelled.ignored
            return view, Truth(
                torch.from_numpy(boxes[used]), torch.from_numpy(labelled.labels[used])
            )

        with workers(self.threads) as pool:
            steps = [
                order[i * self.batch : (i + 1) * self.batch].tolist()
                for i in range(first_step, self.training_steps)
            ]
            waiting = [pool.submit(sample, index) for index in (steps[0] if steps else [])]
            for following in [*steps[1:], []]:
                ready, waiting = waiting, [pool.submit(sample, index) for index in following]
                views, truth = zip(*(each.result() for each in ready), strict=True)
                yield DetectionBatch(np.stack(views), list(truth))

    def evaluation(self) -> Iterator[Image]:
        """Every picture in order, as the deployed model gets it, uint8 [B, H, W, 3]."""
        for first in range(0, len(self.folder), self.batch):
            places = range(first, min(first + self.batch, len(self.folder)))
            yield image_io.batch((self._picture(place) for place in places), self.preprocess)

    def _picture(self, index: int) -> Image:
        cached = self._cache.get(index)
        if cached is not None:
            return cached
        picture = image_io.read(self.folder.files[index])
        if self._cached_bytes + picture.nbytes <= _CACHE_BYTES:
            self._cached_bytes += picture.nbytes
            self._cache[index] = picture
        return picture

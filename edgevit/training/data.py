"""Labelled pictures as batches, the same for the same seed, epoch and place.

Every crop draws from a generator seeded by (seed, view, index), and what is done to it from one
seeded by (seed, epoch, index): a resumed run sees exactly what an uninterrupted one would have
seen, whatever the number of threads, and a teacher's answers to a view serve every epoch that
shows it. Of several processes each makes its part of every batch; the parts, one after another,
are the batch that one process alone would make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevit.common.workers import workers
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.images.labelled_images import LabelledImages
from edgevit.images.share import EVERYTHING, Share
from edgevit.training.augmentation.augment import crop, disturb, mirrored
from edgevit.training.augmentation.mixing import Mix, mix_batch
from edgevit.training.recipe import Recipe
from edgevit.zoo.interface.preprocess import Preprocess

_PREFETCHED_BATCHES = 3
_CACHE_BYTES = 3 * 1024**3

# Streams of random numbers that must not be the same.
_CROPS, _DISTURBANCES, _MIXES, _FLIPS = 0, 1, 2, 3


class Batch(NamedTuple):
    """images: uint8 [B, H, W, 3] RGB. indices: int64 [B], places in the folder. labels: int64 [B].

    flipped: bool [B], which are mirror images; mix: how the pictures were mixed with each other.
    Both None for validation.
    """

    images: Image
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    flipped: NDArray[np.bool_] | None = None
    mix: Mix | None = None


class BatchLoader:
    """Decodes, augments and stacks in threads (OpenCV lets go of the interpreter lock).

    Decoded pictures stay in memory while those of all processes fit in 3 GiB together.

    Args:
        batch: of all processes together. share: which of them this one is. preprocess: the
            size of all pictures, and how they get it in an evaluation.
    """

    def __init__(
        self,
        folder: LabelledImages,
        preprocess: Preprocess,
        batch: int,
        threads: int,
        share: Share = EVERYTHING,
    ) -> None:
        self.folder = folder
        self.share = share
        self.preprocess = preprocess
        self.batch = batch
        self.threads = threads
        self._cache: dict[int, Image] = {}
        self._cached_bytes = 0

    def training(
        self, recipe: Recipe, epoch: int, first_step: int = 0, view: int | None = None
    ) -> Iterator[Batch]:
        """Shuffled, augmented, mixed; whole batches only (unless the folder is smaller than one).

        Args:
            view: which crops; by default those of the epoch's own number.
        """
        order = self.folder.shuffled(np.random.default_rng((recipe.seed, epoch)))
        steps = range(first_step, self.training_steps)
        chunks = [self._part(order[i * self.batch : (i + 1) * self.batch]) for i in steps]
        size_px, shown = self.preprocess.size_px, epoch if view is None else view
        flips = np.random.default_rng((recipe.seed, _FLIPS, epoch)).random(len(self.folder)) < 0.5

        def sample(index: int) -> Image:
            cropped = self._crop(index, recipe, shown, size_px)
            rng = np.random.default_rng((recipe.seed, _DISTURBANCES, epoch, index))
            return disturb(mirrored(cropped) if flips[index] else cropped, recipe, rng)

        for step, batch in zip(steps, self._batches(chunks, sample), strict=True):
            rng = np.random.default_rng((recipe.seed, _MIXES, epoch, step))
            mixed, mix = mix_batch(batch.images, recipe, rng)
            yield batch._replace(images=mixed, flipped=flips[batch.indices], mix=mix)

    def evaluation(self) -> Iterator[Batch]:
        """Every image of this process's share once, with the deployed preprocessing."""
        chunks = self._chunks()[self.share.rank :: self.share.count]
        return self._batches(chunks, lambda i: image_io.resize(self._picture(i), self.preprocess))

    def crops(self, recipe: Recipe, view: int, size_px: int) -> Iterator[Batch]:
        """Every image's crop of one view, in order and undisturbed, at a teacher's size."""
        return self._batches(self._chunks(), lambda i: self._crop(i, recipe, view, size_px))

    @property
    def training_steps(self) -> int:
        """Steps of an epoch."""
        return max(1, len(self.folder) // self.batch)

    def _part(self, chunk: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process's part of a batch."""
        return np.array_split(chunk, self.share.count)[self.share.rank]

    def _chunks(self) -> list[NDArray[np.int64]]:
        everything = np.arange(len(self.folder))
        return [everything[i : i + self.batch] for i in range(0, len(everything), self.batch)]

    def _crop(self, index: int, recipe: Recipe, view: int, size_px: int) -> Image:
        rng = np.random.default_rng((recipe.seed, _CROPS, view, index))
        return crop(self._picture(index), size_px, recipe, rng)

    def _picture(self, index: int) -> Image:
        cached = self._cache.get(index)
        if cached is not None:
            return cached
        picture = self.folder.picture(index).pixels
        if self._cached_bytes + picture.nbytes <= _CACHE_BYTES // self.share.count:
            self._cached_bytes += picture.nbytes
            self._cache[index] = picture
        return picture

    def _batches(
        self, chunks: list[NDArray[np.int64]], sample: Callable[[int], Image]
    ) -> Iterator[Batch]:
        labels = np.asarray(self.folder.labels, np.int64)
        with workers(self.threads) as pool:
            waiting: list[tuple[list[Future[Image]], NDArray[np.int64]]] = []
            remaining = iter(chunks)

            def submit() -> None:
                for chunk in remaining:
                    waiting.append(([pool.submit(sample, int(i)) for i in chunk], chunk))
                    if len(waiting) >= _PREFETCHED_BATCHES:
                        return

            submit()
            while waiting:
                futures, chunk = waiting.pop(0)
                submit()
                stacked = np.stack([future.result() for future in futures])
                yield Batch(stacked, chunk, labels[chunk])

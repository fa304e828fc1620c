"""An image folder (one folder a class) as batches, the same for the same seed, epoch and place.

Every sample draws from a generator seeded by (seed, epoch, index), so a resumed run sees exactly
what an uninterrupted one would have seen, whatever the number of threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevit import images
from edgevit.errors import InputError
from edgevit.images import Image
from edgevit.spec import Preprocess
from edgevit.training.augment import augment
from edgevit.training.recipe import Recipe

_PREFETCHED_BATCHES = 3
_CACHE_BYTES = 3 * 1024**3


class Batch(NamedTuple):
    """images: uint8 [B, H, W, 3] RGB. labels: int64 [B]."""

    images: Image
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class ImageFolder:
    """Files and labels; ``classes`` are the folder names, sorted."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]

    @classmethod
    def open(cls, root: Path) -> ImageFolder:
        """Lists ``root/CLASS/**/*.jpg``.

        Raises:
            InputError: no folder, no class folders, or a class without images.
        """
        if not root.is_dir():
            raise InputError(f"{root} is not a folder. --data wants one folder per class inside.")
        folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
        if not folders:
            raise InputError(f"{root} has no class folders. Expected {root}/CLASS/*.jpg.")
        files: list[Path] = []
        labels: list[int] = []
        for label, folder in enumerate(folders):
            found = images.files_in(folder)
            files += found
            labels += [label] * len(found)
        return cls(tuple(f.name for f in folders), tuple(files), tuple(labels))

    def __len__(self) -> int:
        return len(self.files)

    def fingerprint(self) -> str:
        """Changes with the classes, and with the names and sizes of the files."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for file, label in zip(self.files, self.labels, strict=True):
            digest.update(f"{label} {file.name} {file.stat().st_size}\n".encode())
        return f"{len(self)} images, {digest.hexdigest()[:16]}"

    def part(self, indices: NDArray[np.int64]) -> ImageFolder:
        """The same classes, some of the files."""
        files = tuple(self.files[i] for i in indices)
        return ImageFolder(self.classes, files, tuple(self.labels[i] for i in indices))

    def hold_out(self, share: float, seed: int) -> tuple[ImageFolder, ImageFolder]:
        """(rest, held out): a seeded share of every class, at least one image of each.

        Raises:
            InputError: a class has only one image.
        """
        for label, name in enumerate(self.classes):
            if self.labels.count(label) < 2:
                raise InputError(
                    f"Class '{name}' has only one image, and one of each is held out to validate. "
                    "Add images, or give others with --val-data."
                )
        rng = np.random.default_rng(seed)
        labels = np.asarray(self.labels)
        held: list[int] = []
        for label in range(len(self.classes)):
            members = rng.permutation(np.flatnonzero(labels == label))
            held += members[: max(1, round(share * len(members)))].tolist()
        mask = np.zeros(len(self), bool)
        mask[held] = True
        return self.part(np.flatnonzero(~mask)), self.part(np.flatnonzero(mask))


class BatchLoader:
    """Decodes, augments and stacks in threads (OpenCV lets go of the interpreter lock).

    Decoded pictures stay in memory while they fit in 3 GiB together.
    """

    def __init__(self, folder: ImageFolder, size_px: int, batch: int, threads: int) -> None:
        self.folder = folder
        self.preprocess = Preprocess(size_px)
        self.batch = batch
        self.threads = threads
        self._cache: dict[int, Image] = {}
        self._cached_bytes = 0

    def training(self, recipe: Recipe, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """Shuffled, augmented, whole batches only (unless the folder is smaller than one)."""
        order = np.random.default_rng((recipe.seed, epoch)).permutation(len(self.folder))
        steps = self.training_steps
        chunks = [order[i * self.batch : (i + 1) * self.batch] for i in range(first_step, steps)]

        def sample(index: int) -> Image:
            rng = np.random.default_rng((recipe.seed, epoch, index))
            return augment(self._picture(index), self.preprocess.size_px, recipe, rng)

        return self._batches(chunks, sample)

    def evaluation(self) -> Iterator[Batch]:
        """Every image once, in order, with the deployed preprocessing."""
        everything = np.arange(len(self.folder))
        chunks = [everything[i : i + self.batch] for i in range(0, len(everything), self.batch)]
        return self._batches(chunks, lambda i: images.resize(self._picture(i), self.preprocess))

    @property
    def training_steps(self) -> int:
        """Steps of an epoch."""
        return max(1, len(self.folder) // self.batch)

    def _picture(self, index: int) -> Image:
        cached = self._cache.get(index)
        if cached is not None:
            return cached
        picture = images.read(self.folder.files[index])
        if self._cached_bytes + picture.nbytes <= _CACHE_BYTES:
            self._cached_bytes += picture.nbytes
            self._cache[index] = picture
        return picture

    def _batches(
        self, chunks: list[NDArray[np.int64]], sample: Callable[[int], Image]
    ) -> Iterator[Batch]:
        labels = np.asarray(self.folder.labels, np.int64)
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: list[tuple[list[Future[Image]], NDArray[np.int64]]] = []
            remaining = iter(chunks)

            def submit() -> None:
                for chunk in remaining:
                    waiting.append(([pool.submit(sample, int(i)) for i in chunk], labels[chunk]))
                    if len(waiting) >= _PREFETCHED_BATCHES:
                        return

            try:
                submit()
                while waiting:
                    futures, chunk_labels = waiting.pop(0)
                    submit()
                    yield Batch(np.stack([future.result() for future in futures]), chunk_labels)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

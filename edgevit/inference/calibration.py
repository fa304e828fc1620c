"""Which pictures calibrate and which measure accuracy: class-balanced, seeded, disjoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.common.storage.hashes import sha256_of
from edgevit.images import image_io
from edgevit.images.image_folder import HasFiles, ImageFolder, refuse_same_pictures
from edgevit.images.image_io import Image
from edgevit.inference.runner import Array
from edgevit.zoo.interface.preprocess import Preprocess

FEWEST = 8
_CALIBRATING = 0.5
_KEPT_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Pictures:
    """Files, resized when they are read: pictures for :func:`edgevit.inference.batches.infer_all`.

    Resized pictures stay in memory while they fit in 512 MiB together; the others are read again.
    """

    files: tuple[Path, ...]
    preprocess: Preprocess
    _kept: dict[Path, Image] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, places: list[int], /) -> Array:
        """uint8 [len(places), H, W, 3]."""
        return np.stack([self._picture(self.files[place]) for place in places])

    def _picture(self, file: Path) -> Image:
        kept = self._kept.get(file)
        if kept is not None:
            return kept
        picture = image_io.resize(image_io.read(file), self.preprocess)
        if (len(self._kept) + 1) * picture.nbytes <= _KEPT_BYTES:
            self._kept[file] = picture
        return picture

    def first(self, count: int) -> Pictures:
        """The first ones, or all if there are fewer."""
        return replace(self, files=self.files[:count])

    def part(self, places: Iterable[int]) -> Pictures:
        """Those at some places."""
        return replace(self, files=tuple(self.files[place] for place in places))

    def digest(self) -> str:
        """SHA-256 over the contents of all files, in order."""
        hashes = "\n".join(sha256_of(file) for file in self.files)
        return hashlib.sha256(hashes.encode()).hexdigest()


def balanced(folder: ImageFolder, count: int, seed: int) -> NDArray[np.int64]:
    """Places of ``count`` images, of every class as many as can be, in random order.

    Raises:
        InputError: too few images.
    """
    if len(folder) < FEWEST:
        raise InputError(
            f"Calibration needs at least {FEWEST} images; the folder has {len(folder)}. Add some."
        )
    rng = np.random.default_rng(seed)
    labels = np.asarray(folder.labels)
    queues = [rng.permutation(np.flatnonzero(labels == k)) for k in range(len(folder.classes))]
    depth = np.concatenate([np.arange(len(queue)) for queue in queues])
    everything = np.concatenate(queues)
    rounds = np.lexsort((rng.random(len(depth)), depth))
    return everything[rounds][:count]


def split_for_gate(folder: ImageFolder, seed: int) -> tuple[ImageFolder, ImageFolder]:
    """(to calibrate, to evaluate): half of every class each."""
    return folder.hold_out(_CALIBRATING, seed)


def refuse_overlap(calibration: HasFiles, evaluation: HasFiles) -> None:
    """Pictures that calibrated must not measure accuracy.

    Raises:
        InputError: files of the same content are in both; the first are named.
    """
    refuse_same_pictures(
        calibration,
        evaluation,
        "images of --val-data are in --data too",
        "Accuracy must be measured on pictures that calibration has not seen; give two disjoint "
        "folders.",
    )

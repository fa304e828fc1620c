"""The one loop that runs a model over pictures, in batches of the size that the model takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.runner import Array, Runner, batch_size
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import IMAGE_INPUT

FREE_BATCH = 8  # pictures at a time for a model that takes any number


class PictureSource(Protocol):
    """Pictures of one size that may be read as they are asked for.

    An array uint8 [n, H, W, 3] is one; so are ``Resized`` and ``calibration.Pictures``.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, places: list[int], /) -> Array:
        """uint8 [len(places), H, W, 3]."""
        ...


class Resized(Struct, frozen=True):
    """Pictures uint8 [H, W, 3] of any size, resized for a model when they are asked for."""

    pictures: Sequence[Image]
    preprocess: Preprocess

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, places: list[int], /) -> Array:
        return image_io.batch((self.pictures[place] for place in places), self.preprocess)


class Selected(Struct, frozen=True):
    """Those pictures of a source that stand at ``places``, int64 [n]."""

    source: PictureSource
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, places: list[int], /) -> Array:
        return self.source[self.places[places].tolist()]


def full_batches(count: int, size: int) -> Iterator[list[int]]:
    """Places of ``count`` pictures, ``size`` at a time; the last is repeated to fill a batch."""
    for start in range(0, count, size):
        yield [min(place, count - 1) for place in range(start, start + size)]


def infer_batches(
    runner: Runner,
    pictures: PictureSource,
    free_batch: int = FREE_BATCH,
    names: Collection[str] | None = None,
) -> Iterator[dict[str, Array]]:
    """Outputs by name, batch after batch, without those of pictures that only filled a batch.

    Args:
        free_batch: pictures at a time where the model takes any number.
        names: outputs to keep; by default all.
    """
    size = batch_size(runner.inputs, free_batch)
    for places in full_batches(len(pictures), size):
        kept = min(size, len(pictures) - places[0])
        outputs = runner.infer({IMAGE_INPUT: pictures[places]})
        yield {
            name: _first_pictures(array, kept, size)
            for name, array in outputs.items()
            if names is None or name in names
        }


def infer_all(
    runner: Runner, pictures: PictureSource, names: Collection[str] | None = None
) -> dict[str, Array]:
    """Outputs by name for every picture, [n, ...].

    A tensor of several rows a picture, [n * rows, ...], becomes [n, rows, ...].

    Args:
        names: outputs to keep, all of which depend on the batch; by default all.
    """
    collected: dict[str, list[Array]] = {}
    for outputs in infer_batches(runner, pictures, names=names):
        for name, array in outputs.items():
            collected.setdefault(name, []).append(array)
    count = len(pictures)
    return {name: _by_picture(np.concatenate(parts), count) for name, parts in collected.items()}


def _by_picture(array: Array, count: int) -> Array:
    return array if len(array) == count else array.reshape(count, -1, *array.shape[1:])


def _first_pictures(array: Array, kept: int, size: int) -> Array:
    """Of a batch, along the first axis; what does not depend on the batch stays whole."""
    if kept == size or not array.ndim or len(array) % size:
        return array
    return array[: len(array) // size * kept]

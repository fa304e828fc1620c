"""Labelled pictures, wherever they lie: in a folder of files, or in tar and zip archives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of
from edgevit.common.progress import Progress
from edgevit.common.workers import workers
from edgevit.images.image_io import Picture
from edgevit.images.picture_set import PictureSet
from edgevit.images.share import EVERYTHING, Share

if TYPE_CHECKING:
    from typing_extensions import Self


class LabelledImages(ABC):
    """Pictures that can be read by their place, 0 to len - 1, from any thread.

    classes: names, sorted. labels: of every picture, its place among the classes.
    left_out: files that are no pictures to use, by reason.
    """

    classes: tuple[str, ...]
    labels: Sequence[int] | NDArray[np.int64]
    left_out: Mapping[str, tuple[Path, ...]]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """Where a picture is, for people."""

    @abstractmethod
    def picture(self, index: int) -> Picture:
        """A picture, decoded now.

        Raises:
            InputError: it cannot be read or decoded; the message names it.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Changes with the classes and with the pictures; by it a resumed run knows its data."""

    @abstractmethod
    def identity(self, name: str) -> PictureSet:
        """By which accuracies on the same pictures are known; ``name`` is for people.

        The same for files in folders and in archives. Every picture is read once.
        """

    @abstractmethod
    def part(self, indices: NDArray[np.int64]) -> Self:
        """The same classes, some of the pictures."""

    def shuffled(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """int64 [len]: every place once, in the order of an epoch."""
        return rng.permutation(len(self))

    def hold_out(self, share: float, seed: int) -> tuple[Self, Self]:
        """(rest, held out): a seeded share of every class, at least one image of each.

        Raises:
            InputError: a class has only one image.
        """
        counts = np.bincount(self.labels, minlength=len(self.classes))
        for label, name in enumerate(self.classes):
            if counts[label] < 2:
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

    def readable(
        self,
        skip_corrupt: bool,
        threads: int,
        progress: Progress,
        share: Share = EVERYTHING,
    ) -> Self:
        """Decodes every picture once, so that a damaged one is found now and not in some epoch.

        Args:
            skip_corrupt: leave damaged pictures out, and say which.
            share: of a process that checks them together with others.

        Raises:
            InputError: pictures cannot be decoded and are not to be skipped, or a class has no
                other.
        """
        found = share.gathered(self._remarks(threads, progress, share))
        for note, places in _by_note(found).items():
            names = some_of([self.name(place) for place in places])
            progress.line(f"note: {len(places)} of {len(self)} images: {note}: {names}")
        damaged = sorted(place for place, notes in found if notes is None)
        return self if not damaged else self._without(damaged, skip_corrupt, progress)

    def _remarks(
        self, threads: int, progress: Progress, share: Share
    ) -> list[tuple[int, tuple[str, ...] | None]]:
        """(place, notes) of this share's pictures that have any; None: it cannot be decoded."""
        mine = range(share.rank, len(self), share.count)
        with workers(threads) as pool, progress.bar("check images", len(mine)) as bar:
            found = []
            for place, notes in zip(mine, pool.map(self._notes, mine), strict=True):
                if notes is None or notes:
                    found.append((place, notes))
                bar()
        return found

    def _without(self, damaged: list[int], skip_corrupt: bool, progress: Progress) -> Self:
        names = some_of([self.name(place) for place in damaged])
        found = f"{len(damaged)} of {len(self)} images cannot be decoded: {names}"
        if not skip_corrupt:
            raise InputError(f"{found}. Mend or delete them, or leave them out: --skip-corrupt.")
        progress.line(f"skipped: {found}")
        rest = self.part(np.setdiff1d(np.arange(len(self)), damaged))
        if missing := set(range(len(self.classes))) - set(rest.labels):
            lost = ", ".join(self.classes[i] for i in sorted(missing))
            raise InputError(f"No image of these classes can be decoded: {lost}.")
        return rest

    def _notes(self, index: int) -> tuple[str, ...] | None:
        """What is to be said of a picture; None for one that cannot be decoded."""
        try:
            return self.picture(index).notes
        except InputError:
            return None


def _by_note(
    found: list[tuple[int, tuple[str, ...] | None]],
) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, notes in sorted(found, key=lambda remark: remark[0]):
        for note in notes or ():
            places.setdefault(note, []).append(place)
    return places

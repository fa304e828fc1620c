"""Labelled pictures on disk: one folder a class."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of
from edgevit.common.files import sha256_of
from edgevit.common.progress import Progress
from edgevit.images import image_io


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
            found = image_io.files_in(folder)
            files += found
            labels += [label] * len(found)
        return cls(tuple(f.name for f in folders), tuple(files), tuple(labels))

    def __len__(self) -> int:
        return len(self.files)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the classes, and with the names and contents of the files."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for file, label in zip(self.files, self.labels, strict=True):
            digest.update(f"{label} {file.name} {sha256_of(file)}\n".encode())
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

    def readable(self, skip_corrupt: bool, threads: int, progress: Progress) -> ImageFolder:
        """Decodes every file once, so that a damaged one is found now and not in some epoch.

        Args:
            skip_corrupt: leave damaged files out, and say which.

        Raises:
            InputError: files cannot be decoded and are not to be skipped, or a class has no other.
        """
        with ThreadPoolExecutor(threads) as pool, progress.bar("check images", len(self)) as bar:
            whole = []
            for is_whole in pool.map(_is_picture, self.files):
                whole.append(is_whole)
                bar()
        damaged = [file for file, is_whole in zip(self.files, whole, strict=True) if not is_whole]
        if not damaged:
            return self
        found = f"{len(damaged)} of {len(self)} images cannot be decoded: {some_of(damaged)}"
        if not skip_corrupt:
            raise InputError(f"{found}. Mend or delete them, or leave them out: --skip-corrupt.")
        progress.line(f"skipped: {found}")
        rest = self.part(np.flatnonzero(whole))
        if missing := set(range(len(self.classes))) - set(rest.labels):
            names = ", ".join(self.classes[i] for i in sorted(missing))
            raise InputError(f"No image of these classes can be decoded: {names}.")
        return rest


def _is_picture(file: Path) -> bool:
    try:
        image_io.read(file)
    except InputError:
        return False
    return True

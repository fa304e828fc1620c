"""Labelled pictures on disk: one folder a class."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of
from edgevit.common.progress import Progress
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.sanitize import harmless
from edgevit.common.workers import workers
from edgevit.images import image_io
from edgevit.images.image_files import HIDDEN, images_in, is_hidden, left_out_note
from edgevit.images.picture_set import PictureSet, picture_set

_OUTSIDE = "outside of the class folders"
_SHOWN = 60


@dataclass(frozen=True)
class ImageFolder:
    """Files and labels; ``classes`` are the folder names, sorted."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    left_out: Mapping[str, tuple[Path, ...]] = field(default_factory=dict, compare=False)

    @classmethod
    def open(cls, root: Path) -> ImageFolder:
        """Lists ``root/CLASS/**/*.jpg``; links are followed, hidden files are left out.

        Raises:
            InputError: no folder, no class folders, a class without images, or one whose name
                cannot be a label.
        """
        if not root.is_dir():
            raise InputError(f"{root} is not a folder. --data wants one folder per class inside.")
        entries = sorted(root.iterdir())
        folders = [p for p in entries if p.is_dir() and not is_hidden(p)]
        if not folders:
            raise InputError(f"{root} has no class folders. Expected {root}/CLASS/*.jpg.")
        files: list[Path] = []
        labels: list[int] = []
        left_out = _outside_of_classes(entries, folders)
        for label, folder in enumerate(folders):
            refuse_label(folder.name, str(folder))
            found = images_in(folder)
            files += found.files
            labels += [label] * len(found.files)
            for reason, paths in found.left_out.items():
                left_out.setdefault(reason, []).extend(paths)
        names = tuple(f.name for f in folders)
        return cls(names, tuple(files), tuple(labels), {k: tuple(v) for k, v in left_out.items()})

    def __len__(self) -> int:
        return len(self.files)

    @property
    def note(self) -> str | None:
        """What was left out, in a line; None where nothing was."""
        return left_out_note(self.left_out)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the classes, and with the names and contents of the files."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for file, label in zip(self.files, self.labels, strict=True):
            digest.update(f"{label} {file.name} {sha256_of(file)}\n".encode())
        return f"{len(self)} images, {digest.hexdigest()[:16]}"

    def identity(self, name: str) -> PictureSet:
        """By which accuracies on the same pictures are known; ``name`` is for people."""
        return picture_set(name, self.files, [self.classes[label] for label in self.labels])

    def part(self, indices: NDArray[np.int64]) -> ImageFolder:
        """The same classes, some of the files."""
        files = tuple(self.files[i] for i in indices)
        labels = tuple(self.labels[i] for i in indices)
        return ImageFolder(self.classes, files, labels, self.left_out)

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
        found_notes: dict[str, list[Path]] = {}
        whole = []
        with workers(threads) as pool, progress.bar("check images", len(self)) as bar:
            for file, notes in zip(self.files, pool.map(_notes, self.files), strict=True):
                whole.append(notes is not None)
                for note in notes or ():
                    found_notes.setdefault(note, []).append(file)
                bar()
        for note, files in found_notes.items():
            progress.line(f"note: {len(files)} of {len(self)} images: {note}: {some_of(files)}")
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


def open_image_folder(path: Path, progress: Progress) -> ImageFolder:
    """Opens a folder with one folder a class, and says what was left out of it."""
    folder = ImageFolder.open(path)
    if folder.note:
        progress.line(f"note: {path}: {folder.note}")
    return folder


def refuse_same_pictures(first: ImageFolder, second: ImageFolder, what: str, remedy: str) -> None:
    """Refuses validation images that are training images too.

    Args:
        what: what is wrong, such as ``images of --val-data are in --data too``.

    Raises:
        InputError: files of the same content are in both; the first are named.
    """
    sizes = {file: file.stat().st_size for file in {*first.files, *second.files}}
    common = {sizes[file] for file in first.files} & {sizes[file] for file in second.files}
    known = {sha256_of(file) for file in first.files if sizes[file] in common}
    shared = [f for f in second.files if sizes[f] in common and sha256_of(f) in known]
    if shared:
        raise InputError(f"{len(shared)} {what}, such as {some_of(shared)}. {remedy}")


def refuse_label(name: str, source: str) -> None:
    """Refuses what cannot be shown, or written to a file, as the name of a class.

    Raises:
        InputError: it is not UTF-8, or holds control characters.
    """
    if harmless(name) != name:
        raise InputError(
            f"{source}: the class name {name[:_SHOWN]!r} holds bytes that are not UTF-8, or "
            "control characters. Rename it."
        )


def _outside_of_classes(entries: list[Path], folders: list[Path]) -> dict[str, list[Path]]:
    """What lies beside the class folders, by reason."""
    left_out: dict[str, list[Path]] = {}
    for path in entries:
        if path not in folders:
            reason = HIDDEN if is_hidden(path) else _OUTSIDE
            left_out.setdefault(reason, []).append(path)
    return left_out


def _notes(file: Path) -> tuple[str, ...] | None:
    """What is to be said of a picture; None for one that cannot be decoded."""
    try:
        return image_io.read_picture(file).notes
    except InputError:
        return None

"""Labelled pictures on disk: one folder a class."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of
from edgevit.common.progress import Progress
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.sanitize import LONGEST_LINE, harmless
from edgevit.images import image_io
from edgevit.images.image_files import HIDDEN, images_in, is_hidden, left_out_note
from edgevit.images.image_io import Picture
from edgevit.images.labelled_images import LabelledImages
from edgevit.images.picture_set import PictureSet, picture_set

_OUTSIDE = "outside of the class folders"
_SHOWN = 60


@dataclass(frozen=True)
class ImageFolder(LabelledImages):
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

    def name(self, index: int) -> str:
        return str(self.files[index])

    def picture(self, index: int) -> Picture:
        return image_io.read_picture(self.files[index])

    def identity(self, name: str) -> PictureSet:
        """By which accuracies on the same pictures are known; ``name`` is for people."""
        return picture_set(name, self.files, [self.classes[label] for label in self.labels])

    def part(self, indices: NDArray[np.int64]) -> ImageFolder:
        """The same classes, some of the files."""
        files = tuple(self.files[i] for i in indices)
        labels = tuple(self.labels[i] for i in indices)
        return ImageFolder(self.classes, files, labels, self.left_out)


def open_image_folder(path: Path, progress: Progress) -> ImageFolder:
    """Opens a folder with one folder a class, and says what was left out of it."""
    folder = ImageFolder.open(path)
    if folder.note:
        progress.line(f"note: {path}: {folder.note}")
    return folder


class HasFiles(Protocol):
    """A set of picture files, whatever their labels are."""

    @property
    def files(self) -> Sequence[Path]: ...


def refuse_same_pictures(first: HasFiles, second: HasFiles, what: str, remedy: str) -> None:
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
        InputError: it is not UTF-8, holds control characters, or is longer than a line.
    """
    if len(name) > LONGEST_LINE:
        raise InputError(
            f"{source}: the class name {name[:_SHOWN]!r}... has {len(name)} characters; at most "
            f"{LONGEST_LINE} are shown. Shorten it."
        )
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

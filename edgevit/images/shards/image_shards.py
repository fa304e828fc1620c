"""Labelled pictures in tar and zip archives.

Three layouts are read, also side by side:

    CLASS.tar or CLASS.zip      pictures right in it; the archive's name is their class
    any archive                 CLASS/picture.jpg
    any archive                 KEY.jpg and KEY.cls, as webdataset writes them; the class is the
                                text in KEY.cls

Pictures of archives of one class each are shuffled all together. Where an archive holds pictures of
many classes, whole archives are shuffled, and then the pictures of several archives with each
other, so that reading goes through few files at a time, which a network file system can read ahead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of
from edgevit.common.untrusted.parsers import parsing
from edgevit.common.workers import workers
from edgevit.images import image_io
from edgevit.images.image_files import is_hidden
from edgevit.images.image_folder import refuse_label
from edgevit.images.image_io import IMAGE_SUFFIXES, Picture
from edgevit.images.labelled_images import LabelledImages
from edgevit.images.picture_set import PictureSet, picture_set_of_hashes
from edgevit.images.shards.archive import Member, is_archive, members_of, read_member

LABEL_SUFFIX = ".cls"
_MOST_LABEL_BYTES = 1 << 16
_WINDOW = 16  # archives whose pictures are shuffled with each other
_LISTING_THREADS = 8


@dataclass(frozen=True)
class ImageShards(LabelledImages):
    """archives: the files. homes: of every picture, its archive's place. members: where in it."""

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    archives: tuple[Path, ...]
    homes: NDArray[np.int64]
    members: tuple[Member, ...]
    left_out: Mapping[str, tuple[Path, ...]] = field(default_factory=dict, compare=False)

    @classmethod
    def open(cls, root: Path) -> ImageShards:
        """Lists the archives right in a folder, and what is in them.

        Raises:
            InputError: there are none, one is damaged, or a picture in them has no class.
        """
        archives = archives_in(root)
        if not archives:
            raise InputError(f"{root} holds no .tar or .zip archive.")
        with workers(_LISTING_THREADS) as pool:
            listed = list(pool.map(_labelled_members, archives))
        named = [(home, *found) for home, some in enumerate(listed) for found in some]
        if not named:
            raise InputError(f"The {len(archives)} archives in {root} hold no pictures.")
        classes = tuple(sorted({name for _, name, _ in named}))
        for name in classes:
            refuse_label(name, str(root))
        places = {name: place for place, name in enumerate(classes)}
        return cls(
            classes,
            np.array([places[name] for _, name, _ in named], np.int64),
            archives,
            np.array([home for home, _, _ in named], np.int64),
            tuple(member for _, _, member in named),
        )

    def __len__(self) -> int:
        return len(self.members)

    def name(self, index: int) -> str:
        return f"{self.archives[self.homes[index]]}/{self.members[index].name}"

    def picture(self, index: int) -> Picture:
        archive, member = self.archives[self.homes[index]], self.members[index]
        return image_io.open_picture(read_member(archive, member), self.name(index))

    def identity(self, name: str) -> PictureSet:
        contents = (
            read_member(self.archives[home], member)
            for home, member in zip(self.homes, self.members, strict=True)
        )
        hashes = (hashlib.sha256(content).hexdigest() for content in contents)
        return picture_set_of_hashes(name, hashes, [self.classes[label] for label in self.labels])

    @cached_property
    def fingerprint(self) -> str:
        """Of names, sizes, places and CRCs: ImageNet's bytes would take minutes to read."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for label, home, member in zip(self.labels, self.homes, self.members, strict=True):
            archive = self.archives[home].name
            digest.update(f"{label} {archive} {member}\n".encode())
        return f"{len(self)} images, {digest.hexdigest()[:16]}"

    def part(self, indices: NDArray[np.int64]) -> ImageShards:
        members = tuple(self.members[i] for i in indices)
        labels, homes = self.labels[indices], self.homes[indices]
        return ImageShards(self.classes, labels, self.archives, homes, members)

    def shuffled(self, rng: np.random.Generator) -> NDArray[np.int64]:
        if self._archives_are_mixed:
            return np.concatenate([rng.permutation(window) for window in self._windows(rng)])
        return rng.permutation(len(self))

    def _windows(self, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Places of the pictures of some archives, in the order of an epoch."""
        by_archive = np.split(
            np.argsort(self.homes, kind="stable"),
            np.cumsum(np.bincount(self.homes, minlength=len(self.archives)))[:-1],
        )
        order = iter(rng.permutation(len(self.archives)))
        while some := list(islice(order, _WINDOW)):
            yield np.concatenate([by_archive[home] for home in some])

    @cached_property
    def _archives_are_mixed(self) -> bool:
        """Whether an archive holds, on average, pictures of more than half of the classes."""
        pairs = len(np.unique(self.homes * len(self.classes) + self.labels))
        return 2 * pairs > len(np.unique(self.homes)) * len(self.classes)


def archives_in(root: Path) -> tuple[Path, ...]:
    """The archives right in a folder, sorted; none where it is no folder."""
    if not root.is_dir():
        return ()
    return tuple(
        path
        for path in sorted(root.iterdir())
        if is_archive(path) and path.is_file() and not is_hidden(path)
    )


def picture_members(members: Sequence[Member]) -> list[Member]:
    """Those that are pictures by their suffix, without hidden ones."""
    return [member for member in members if _is_picture(PurePosixPath(member.name))]


def _is_picture(path: PurePosixPath) -> bool:
    hidden = any(is_hidden(Path(part)) for part in path.parts if part != ".")
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden


def _labelled_members(archive: Path) -> list[tuple[str, Member]]:
    """(class, member) of every picture.

    Raises:
        InputError: pictures right in an archive among which only some have a KEY.cls.
    """
    members = members_of(archive)
    labels = {
        member.name.removesuffix(LABEL_SUFFIX): member
        for member in members
        if member.name.endswith(LABEL_SUFFIX)
    }
    found, unlabelled = [], []
    for member in picture_members(members):
        path = PurePosixPath(member.name)
        parent = path.parent.name
        if label := labels.get(str(path.with_suffix(""))):
            found.append((_text(archive, label), member))
        elif labels:
            unlabelled.append(member.name)
        else:
            found.append((parent or archive.stem, member))
    if unlabelled:
        raise InputError(
            f"{archive}: {len(unlabelled)} pictures have no KEY{LABEL_SUFFIX}, others do: "
            f"{some_of(unlabelled)}."
        )
    return found


def _text(archive: Path, label: Member) -> str:
    with parsing(lambda _: InputError(f"{archive}: {label.name} is not text in UTF-8.")):
        return read_member(archive, label, _MOST_LABEL_BYTES).decode().strip()

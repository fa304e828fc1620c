"""Which labelled pictures an accuracy was measured on.

Two accuracies can be compared only if they were measured on the same pictures, so every one of
them carries the identity of its set: the number of pictures, and one hash over their contents and
classes. Neither the order of the files nor their names or folders change it; a picture that is
added, left out, altered or given another class does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgevit.common.storage.files import resolved
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.sanitize import harmless

_HEX = re.compile(r"[0-9a-f]{64}")
_SHOWN_DIGITS = 12
# A folder of such a name says nothing of what is in it; the one above it does.
_PARTS = ("train", "training", "val", "validation", "eval", "test")


@dataclass(frozen=True)
class PictureSet:
    """name: for people. images: how many pictures. sha256: of all of them, see above."""

    name: str
    images: int
    sha256: str

    def __post_init__(self) -> None:
        if self.images < 0:
            raise ValueError(f"a picture set has {self.images} images, expected 0 or more")
        if not _HEX.fullmatch(self.sha256):
            raise ValueError("the hash of a picture set is no SHA-256 in hexadecimal digits")

    @property
    def text(self) -> str:
        """``photos (40 images, SHA-256 0123456789ab)``."""
        return f"{self.name} ({self.images} images, SHA-256 {self.sha256[:_SHOWN_DIGITS]})"


def picture_set(name: str, files: Sequence[Path], classes: Sequence[str]) -> PictureSet:
    """The identity of labelled pictures. Every file is read once, and none is decoded.

    Args:
        classes: the name of every file's class.

    Raises:
        InputError: a file cannot be read.
    """
    return picture_set_of_hashes(name, map(sha256_of, files), classes)


def picture_set_of_hashes(name: str, hashes: Iterable[str], classes: Sequence[str]) -> PictureSet:
    """The same from the SHA-256 of every picture's bytes, in hexadecimal digits."""
    labelled = zip(hashes, classes, strict=True)
    lines = sorted(f"{sha256} {label}\n" for sha256, label in labelled)
    return PictureSet(name, len(lines), hashlib.sha256("".join(lines).encode()).hexdigest())


class MeasuredOn(Protocol):
    """An accuracy. images: how many pictures; None where that is not known."""

    @property
    def images(self) -> int | None: ...
    @property
    def picture_set(self) -> PictureSet | None: ...


def pictures_key(accuracy: MeasuredOn) -> str:
    """The same text for accuracies that can be compared.

    Results of an edgevit that did not say its pictures are told apart by their number alone.
    """
    known = accuracy.picture_set
    return known.sha256 if known else f"unknown, {accuracy.images}"


def pictures_text(accuracy: MeasuredOn) -> str:
    """The pictures of an accuracy, for people."""
    if accuracy.picture_set is not None:
        return accuracy.picture_set.text
    count = "" if accuracy.images is None else f" ({accuracy.images} images)"
    return f"an unknown picture set{count}"


def set_name(folder: Path) -> str:
    """A name for the pictures of a folder: its own, with the one above for ``val`` and the like."""
    path = resolved(folder)
    parts = path.parts[-2:] if path.name.lower() in _PARTS else path.parts[-1:]
    return harmless("/".join(parts))

"""Picture files below a folder, and whatever is there beside them: nothing is left out unsaid."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgevit.common.errors import InputError, some_of
from edgevit.common.storage.files import resolved
from edgevit.images.image_io import IMAGE_SUFFIXES, UNREAD_SUFFIXES

# Names that systems and editors put beside pictures, such as ``._x.jpg`` and a ``__MACOSX`` folder.
_NOT_THE_USERS = (".", "__MACOSX")

HIDDEN = "hidden"
UNREAD = "pictures of a format that is not read"
OTHER = "not pictures, by their suffix"
IRREGULAR = "no regular files (a pipe, a device, a broken link)"
REPEATED = "links to a folder that is listed already, or lies above"
UNREADABLE = "folders that may not be read"


@dataclass(frozen=True)
class Listing:
    """Pictures, sorted; and what was left out, by reason."""

    files: tuple[Path, ...]
    left_out: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def note(self) -> str | None:
        """What was left out, in a line; None where nothing was."""
        return left_out_note(self.left_out)


def left_out_note(left_out: Mapping[str, Iterable[Path]]) -> str | None:
    """``left out: 2 hidden (a, b); 1 pictures of a format that is not read (x.heic)``."""
    named = {reason: [path.name for path in paths] for reason, paths in left_out.items()}
    parts = [f"{len(names)} {reason} ({some_of(names)})" for reason, names in named.items()]
    return f"left out: {'; '.join(parts)}" if parts else None


def is_hidden(path: Path) -> bool:
    """By its own name; where it lies does not matter."""
    return path.name.startswith(_NOT_THE_USERS)


def list_images(folder: Path) -> Listing:
    """Everything below a folder; links to folders are followed, each folder is listed once.

    Raises:
        InputError: it is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    files: list[Path] = []
    left_out: dict[str, list[Path]] = {}
    for path, reason in _entries(folder):
        if reason is None:
            files.append(path)
        else:
            left_out.setdefault(reason, []).append(path)
    return Listing(tuple(sorted(files)), {k: tuple(sorted(v)) for k, v in left_out.items()})


def files_in(folder: Path) -> list[Path]:
    """Image files below a folder, sorted.

    Raises:
        InputError: no such folder, or no image in it.
    """
    return list(images_in(folder).files)


def images_in(folder: Path) -> Listing:
    """The same, with what was left out."""
    listing = list_images(folder)
    if not listing.files:
        raise no_image(folder, listing)
    return listing


def no_image(folder: Path, listing: Listing) -> InputError:
    """The error for a folder in which no image was found."""
    known = ", ".join(sorted(IMAGE_SUFFIXES))
    note = f" {listing.note}." if listing.note else ""
    return InputError(f"No image found below {folder} (looked for {known}).{note}")


def _entries(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Every file with the reason why it is left out; None for a picture."""
    above = (*root.absolute().parents, *resolved(root).parents)  # a link to there leads round
    seen = {_identity(folder) for folder in (root, *above)}
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            yield folder, UNREADABLE
            continue
        for path in paths:
            if is_hidden(path):
                yield path, HIDDEN
            elif path.is_dir():
                if (identity := _identity(path)) in seen:
                    yield path, REPEATED
                else:
                    seen.add(identity)
                    waiting.append(path)
            else:
                yield path, _reason(path)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _reason(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in UNREAD_SUFFIXES:
        return UNREAD
    if suffix not in IMAGE_SUFFIXES:
        return OTHER
    try:
        is_regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return IRREGULAR
    return None if is_regular else IRREGULAR

"""The device's side of pictures: files lie under their hashes, sets are folders of links to them.

pictures/ab/abcdef...                       a file, by its SHA-256
picture-sets/0123.../photos/val/CLASS/a.jpg a set, by the SHA-256 of its names and hashes
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from edgevit.common.errors import InputError
from edgevit.common.storage.files import write_atomically
from edgevit.common.storage.folders import folder_written_aside
from edgevit.common.storage.hashes import sha256_of
from edgevit_runtimes.remote.transfer.receive_file import receive_file

_HASH = re.compile(r"[0-9a-f]{64}")
_MARKER = ".edgevit-picture-set"


class Picture(NamedTuple):
    """name: its path in the set. bytes: its size."""

    name: str
    sha256: str
    bytes: int


def lacking(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Which pictures of a set are not here yet, by their position in ``files``."""
    if (set_folder(home, job["set"]) / _MARKER).is_file():
        return {"has_set": True, "lacking": []}
    pictures = _pictures(job)
    missing = [i for i, each in enumerate(pictures) if not _file(home, each.sha256).is_file()]
    return {"has_set": False, "lacking": missing}


def store(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Receives the pictures of ``sent``, one after the other, and puts the set together.

    Raises:
        InputError: a picture arrived changed, or its name leads out of the set.
    """
    pictures = _pictures(job)
    for index in job["sent"]:
        _receive(home, pictures[index])
    with folder_written_aside(set_folder(home, job["set"]), True, _MARKER, 30.0) as folder:
        for each in pictures:
            _link(_file(home, each.sha256), folder / each.name)
        (folder / _MARKER).touch()
    return {"stored": len(job["sent"])}


def set_folder(home: Path, name: str) -> Path:
    """Where a set lies.

    Raises:
        InputError: it is named by something else than a SHA-256.
    """
    return home / "picture-sets" / _checked(name)


def _pictures(job: dict[str, Any]) -> list[Picture]:
    pictures = [Picture(*each) for each in job["files"]]
    for each in pictures:
        path = PurePosixPath(each.name)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            raise InputError(f"{each.name!r} is no name for a picture of a set.")
    return pictures


def _receive(home: Path, picture: Picture) -> None:
    def write(aside: Path) -> None:
        receive_file(sys.stdin.buffer, aside, picture.bytes)
        if sha256_of(aside) != picture.sha256:
            raise InputError(f"{picture.name} arrived changed. Send it again.")

    write_atomically(_file(home, picture.sha256), write)


def _file(home: Path, sha256: str) -> Path:
    return home / "pictures" / sha256[:2] / _checked(sha256)


def _checked(sha256: str) -> str:
    if not _HASH.fullmatch(sha256):
        raise InputError("Pictures are named by their SHA-256.")
    return sha256


def _link(source: Path, target: Path) -> None:
    """A second name of a file; a copy where the file system has none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

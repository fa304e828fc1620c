"""Where what can be made again is kept, and what the user's programs did. Both may be missing."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for edgevit; it may not exist, and may not be writable.

    Raises:
        RuntimeError: nobody knows the user's home folder, and ``XDG_CACHE_HOME`` is not set.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevit"


def state_folder() -> Path:
    """Where the user's programs keep what they did; it may not exist yet.

    Raises:
        RuntimeError: nobody knows the user's home folder, and ``XDG_STATE_HOME`` is not set.
    """
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "edgevit"


def writable_cache(*parts: str) -> Path | None:
    """A folder in the cache, made if need be; None where nothing can be kept.

    A home folder that does not exist is not made, and nothing is written into another user's.
    """
    try:
        folder = cache_folder()
    except RuntimeError:
        return None
    return _made(folder.joinpath(*parts), folder.parents[:2])


def writable_state() -> Path | None:
    """The state folder, made if need be; None where nothing can be kept, as for the cache."""
    try:
        folder = state_folder()
    except RuntimeError:
        return None
    in_home = not os.environ.get("XDG_STATE_HOME")  # then two folders of ours are above it
    return _made(folder, folder.parents[: 3 if in_home else 2])


def read_own(path: Path, most_bytes: int) -> bytes | None:
    """The beginning of a file that nobody but this user can write; None if there is no such one.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        is_ours = found.st_uid == os.geteuid() and not found.st_mode & stat.S_IWOTH
        return file.read(most_bytes) if stat.S_ISREG(found.st_mode) and is_ours else None


def _made(folder: Path, above: Sequence[Path]) -> Path | None:
    """The folder, made if need be in one of those above it that is there and is the user's."""
    try:
        there = next((parent for parent in above if parent.exists()), None)
        if there is None or not there.is_dir() or there.stat().st_uid != os.geteuid():
            return None
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None

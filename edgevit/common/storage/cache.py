"""The user's folders for edgevit: the cache, which can be made again, and what its programs did.

Both may be missing: everything works without the cache, only slower.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from edgevit.common.errors import InputError


def user_folder(variable: str, usual: str) -> Path:
    """edgevit's own folder in one of the XDG base directories; it may not exist.

    Args:
        variable: names the base directory, such as ``XDG_CONFIG_HOME``.
        usual: where it is otherwise, below the home folder.

    Raises:
        InputError: the variable is not set, and nobody knows the user's home folder.
    """
    base = os.environ.get(variable)
    try:
        return Path(base or Path.home() / usual) / "edgevit"
    except RuntimeError as error:
        raise InputError(
            f"This user has no home folder (HOME is not set). Set {variable} to a folder that can "
            "be written to."
        ) from error


def cache_folder() -> Path:
    """The user's cache folder for edgevit; it may not exist, and may not be writable.

    Raises:
        InputError: nobody knows the user's home folder, and ``XDG_CACHE_HOME`` is not set.
    """
    return user_folder("XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """Where the user's programs keep what they did; it may not exist yet.

    Raises:
        InputError: nobody knows the user's home folder, and ``XDG_STATE_HOME`` is not set.
    """
    return user_folder("XDG_STATE_HOME", ".local/state")


def writable_cache(*parts: str) -> Path | None:
    """A folder in the cache, made if need be; None where nothing can be kept.

    A home folder that does not exist is not made, and nothing is written into another user's.
    """
    try:
        folder = cache_folder()
    except InputError:
        return None
    return _made(folder.joinpath(*parts), folder.parents[:2])


def writable_state() -> Path | None:
    """The state folder, made if need be; None where nothing can be kept, as for the cache."""
    try:
        folder = state_folder()
    except InputError:
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

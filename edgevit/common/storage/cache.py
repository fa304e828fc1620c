"""The user's folders for edgevit, and the cache, where what can be made again is kept.

Everything works without the cache, only slower.
"""

from __future__ import annotations

import os
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


def writable_cache(*parts: str) -> Path | None:
    """A folder in the cache, made if need be; None where nothing can be kept.

    A home folder that does not exist is not made, and nothing is written into another user's.
    """
    try:
        folder = cache_folder().joinpath(*parts)
        base = cache_folder().parent
        there = base if base.exists() else base.parent
        if not there.is_dir() or there.stat().st_uid != os.geteuid():
            return None
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, InputError):
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None

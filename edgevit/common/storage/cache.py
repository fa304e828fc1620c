"""Where what can be made again is kept. Everything works without it, only slower."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for edgevit; it may not exist, and may not be writable.

    Raises:
        RuntimeError: nobody knows the user's home folder, and ``XDG_CACHE_HOME`` is not set.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevit"


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
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None

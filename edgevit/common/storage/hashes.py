"""SHA-256 of files; those of large files that stay as they are, are remembered.

What is remembered stands in the user's cache folder, by device and inode, with the file's size,
its time of change (mtime) and that of its inode (ctime). A hash counts while none of them has
changed. A file that had been changed within the last two seconds when it was hashed could change
again without a new time (a file system counts in steps), so its hash is not remembered.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from edgevit.common.errors import InputError
from edgevit.common.storage.cache import read_own, writable_cache
from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.bounded import open_regular

_FILE = "hashes.json"
_CHUNK_BYTES = 1 << 20
_COARSEST_CLOCK_NS = 2_000_000_000  # of FAT; others count in milliseconds or finer
_MOST_ENTRIES = 1024
_MOST_BYTES = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}")


class _Stamp(NamedTuple):
    """What changes when a file does."""

    size: int
    mtime_ns: int
    ctime_ns: int


_Memory = dict[str, tuple[_Stamp, str]]


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a regular file, read now; raises InputError for any other."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def known_sha256(path: Path) -> str | None:
    """The hash of a file that has not changed since it was hashed; None if that is not known."""
    return known_hashes([path]).get(path)


def known_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """The hashes of those files that have not changed since they were hashed."""
    memory, known = _read(), {}
    for path in paths:
        key, stamp = _identity(path)
        if key in memory and memory[key][0] == stamp:
            known[path] = memory[key][1]
    return known


def checked_sha256(path: Path, fresh: bool = False) -> str:
    """The hash of a file, remembered if it has not changed, else read now and remembered.

    Args:
        fresh: read it now, whatever is remembered.
    """
    if not fresh and (known := known_sha256(path)) is not None:
        return known
    before = _identity(path)
    sha256 = sha256_of(path)
    if _identity(path) == before:
        remember({path: sha256})
    return sha256


def remember(hashes: Mapping[Path, str]) -> None:
    """Keeps hashes that are known to be right, but for files that changed a moment ago.

    Where nothing can be kept, nothing is.
    """
    folder = writable_cache()
    now_ns = time.time_ns()
    new: _Memory = {}
    for path, sha256 in hashes.items():
        key, stamp = _identity(path)
        if stamp.mtime_ns + _COARSEST_CLOCK_NS <= now_ns:
            new[key] = (stamp, sha256)
    if folder is None or not new:
        return
    kept = {**{k: v for k, v in _read().items() if k not in new}, **new}
    newest = dict(list(kept.items())[-_MOST_ENTRIES:])
    text = json.dumps({key: [*stamp, sha256] for key, (stamp, sha256) in newest.items()})
    try:
        write_atomically(folder / _FILE, lambda aside: aside.write_text(text))
    except InputError:
        return  # a full disk: it is hashed again the next time


def _identity(path: Path) -> tuple[str, _Stamp]:
    found = path.stat()
    stamp = _Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return f"{found.st_dev}:{found.st_ino}", stamp


def _read() -> _Memory:
    """What is remembered; nothing where the file is damaged, or another user's."""
    folder = writable_cache()
    if folder is None:
        return {}
    try:
        content = json.loads(read_own(folder / _FILE, _MOST_BYTES) or b"{}")
        return {key: _entry(*values) for key, values in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _entry(size: int, mtime_ns: int, ctime_ns: int, sha256: str) -> tuple[_Stamp, str]:
    if not _HEX.fullmatch(sha256):
        raise ValueError("no hash")
    return _Stamp(size, mtime_ns, ctime_ns), sha256

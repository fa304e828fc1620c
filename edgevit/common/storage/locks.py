"""One writer at a time: a lock on a path, held by a file beside it, that ends with its process."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.storage.interruption import uninterrupted

_POLL_S = 0.05


@contextmanager
def locked(path: Path, wait_s: float = 30.0) -> Iterator[None]:
    """Keeps other processes and threads that ask for it away from a path, for the block.

    The lock is an ``flock`` on ``.NAME.lock`` beside the path, which holds the process id of its
    holder and is removed with the lock. A process that dies leaves the file, and not the lock.

    Args:
        path: a file or folder; it need not exist, its parent folder must.
        wait_s: how long to wait for another holder.

    Raises:
        InputError: another process still holds it after ``wait_s``; says which.
        OSError: the lock file cannot be made.
    """
    deadline, descriptor = time.monotonic() + wait_s, None
    try:
        while descriptor is None:
            with uninterrupted():
                descriptor = _acquired(path, deadline)
            if descriptor is None:
                time.sleep(_POLL_S)
        yield
    finally:
        if descriptor is not None:
            with uninterrupted():
                _release(path, descriptor)


def lock_file(path: Path) -> Path:
    """The file beside a path that holds its lock."""
    return path.with_name(f".{path.name}.lock")


def _acquired(path: Path, deadline: float) -> int | None:
    """A descriptor that holds the lock; None where another one holds it, before the deadline."""
    file = lock_file(path)
    while True:
        # NOFOLLOW: else a link that somebody put there would have its target emptied.
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(file, descriptor):  # else the former holder removed it in between
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                return descriptor
        except BlockingIOError:
            said = os.pread(descriptor, 20, 0)
            os.close(descriptor)
            if time.monotonic() >= deadline:
                raise _held(path, said) from None
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _release(path: Path, descriptor: int) -> None:
    with suppress(FileNotFoundError):
        lock_file(path).unlink()
    os.close(descriptor)


def _is_still(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _held(path: Path, said: bytes) -> InputError:
    who = f" (process {said.decode()})" if said.isdigit() else ""
    return InputError(
        f"Another process is writing {path} right now{who}. Wait until it has ended, or use "
        "another place."
    )

"""Files that are whole or not there: write aside, then rename. Hashes. Folders that are locked."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgevit.errors import InputError

_HASH_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls ``write`` with a path beside ``path``, then renames; a failure leaves nothing.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(aside)
        _flush(aside)
        aside.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        aside.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> InputError:
    """The error for an output that the system refuses."""
    reason = error.strerror or str(error)
    return InputError(
        f"Cannot write {path}: {reason}. Choose another place with --output, or make room there."
    )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def folder_written_aside(target: Path, replace: bool) -> Iterator[Path]:
    """Yields an empty folder that becomes ``target`` when the block ends without an error.

    The folder is ``.NAME.partial`` beside the target and is locked while it is written, so of two
    writers at once the second is told so. What a killed writer left there is swept by the next.

    Raises:
        InputError: ``target`` exists and ``replace`` is false, another process is writing it, or
            the place cannot be written to.
    """
    partial = target.with_name(f".{target.name}.partial")
    _refuse_existing(target, replace)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock_folder(partial, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        _empty(partial)
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                _flush(file)
        _refuse_existing(target, replace)
        _swap_in(partial, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _refuse_existing(target: Path, replace: bool) -> None:
    if target.exists() and not replace:
        raise InputError(f"{target} already exists. Add --force to replace it, or use --output.")


def _lock_folder(partial: Path, target: Path) -> int:
    """Makes and locks the folder; the lock goes with the process, however it ends."""
    partial.mkdir(exist_ok=True)
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The former holder may have renamed the folder between our open and our lock.
        if not partial.exists() or not os.path.samestat(os.fstat(descriptor), partial.stat()):
            raise BlockingIOError
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(
            f"Another process is writing {target} right now. Wait for it, or use --output."
        ) from None
    return descriptor


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _swap_in(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    former = target.with_name(f".{target.name}.former")
    shutil.rmtree(former, ignore_errors=True)
    target.rename(former)
    try:
        partial.rename(target)
    except OSError:
        former.rename(target)
        raise
    shutil.rmtree(former)

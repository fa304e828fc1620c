"""Files that are whole or not there: write aside, then rename. Hashes. Folders that are locked."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.untrusted.bounded import open_regular

_HASH_CHUNK_BYTES = 1 << 20


def cache_folder() -> Path:
    """Where what can be made again is kept; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevit"


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a regular file; raises InputError for any other."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
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
        aside.chmod(0o666 & ~_umask())  # some writers make files that only their owner can read
        _flush(aside)
        aside.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # the reason it could not be written is the error to show
            aside.unlink(missing_ok=True)


def refuse_target(path: Path) -> None:
    """Refuses a file that could not be written, before the work is done.

    Raises:
        InputError: it is a folder, or lies in one that cannot be written to.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> InputError:
    """The error for an output that the system refuses."""
    reason = error.strerror or str(error)
    return InputError(f"Cannot write {path}: {reason}. Choose another place, or make room there.")


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def folder_written_aside(target: Path, replace: bool, marker: str) -> Iterator[Path]:
    """Yields an empty folder that becomes ``target`` when the block ends without an error.

    The folder is ``.NAME.partial`` beside the target and is locked while it is written, so of two
    writers at once the second is told so. What a killed writer left there is swept by the next.

    Args:
        replace: whether an existing target may be replaced.
        marker: the file that every such folder holds; a folder of other things is never replaced.

    Raises:
        InputError: ``target`` exists and may not be replaced, another process is writing it, or
            the place cannot be written to.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        _refuse_existing(target, replace, marker)
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
        _refuse_existing(target, replace, marker)
        _swap_in(partial, target)
    except OSError as error:
        # An OSError from the block may be about a file of its own, which is not ours to explain.
        if error.filename is None or partial.name in str(error.filename):
            raise cannot_write(target, error) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _refuse_existing(target: Path, replace: bool, marker: str) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if target.is_symlink() or not target.is_dir():
        raise InputError(f"{target} exists and is not a folder. Choose another name with --output.")
    if any(target.iterdir()) and not (target / marker).is_file():
        raise InputError(
            f"{target} exists and holds other things (no {marker}), so it is never replaced. "
            "Choose another name with --output."
        )
    if not replace:
        raise InputError(f"{target} already exists. Add --force to replace it, or use --output.")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps other processes that ask for it out of a folder, until the block or the process ends.

    Raises:
        InputError: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left_over in folder.glob(".*.partial"):  # of a writer that was killed
            left_over.unlink()
        yield
    except BlockingIOError:
        raise InputError(
            f"Another process is at work in {folder} right now. Wait for it, or use --output."
        ) from None
    finally:
        os.close(descriptor)


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

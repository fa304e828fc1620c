"""Files that are whole or not there: write aside, then rename. Folders that are held."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.untrusted.bounded import kind_of

_PARTIAL = re.compile(r"\..+\.(?P<pid>\d+)\.partial")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Calls ``write`` with a path beside ``path``, then renames; a failure leaves nothing.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    refuse_special(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        with _locked(aside, os.O_RDWR | os.O_CREAT):
            write(aside)
            aside.chmod(0o666 & ~_umask())  # some writers make files only their owner can read
            flush(aside)
            aside.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # the reason it could not be written is the error to show
            aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes what processes that died while they wrote a file left in a folder, if it may.

    Those that live hold a lock on the file that they write, in another container too.
    """
    for left_over in _left_over(folder):
        with suppress(OSError), _locked(left_over, os.O_RDONLY):  # another user's, gone, or held
            left_over.unlink()


def _left_over(folder: Path) -> list[Path]:
    """Files that are written aside by processes that do not live, or live in another container."""
    try:
        with os.scandir(folder) as entries:
            matched = [(entry, _PARTIAL.fullmatch(entry.name)) for entry in entries]
            return [
                folder / entry.name
                for entry, match in matched
                if match and entry.is_file() and not _is_alive(int(match["pid"]))
            ]
    except OSError:  # no folder, or none that may be read
        return []


@contextmanager
def _locked(file: Path, flags: int) -> Iterator[None]:
    """
    Raises:
        BlockingIOError: another process has locked it.
    """
    descriptor = os.open(file, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def resolved(path: Path) -> Path:
    """The absolute path with symbolic links followed; a loop of links is left as it is.

    ``Path.resolve`` raises RuntimeError for a loop, before Python 3.13.
    """
    return Path(os.path.realpath(path))


def refuse_target(path: Path) -> None:
    """Refuses a file that could not be written, before the work is done.

    Raises:
        InputError: it is a folder, a device or a pipe, or lies in a folder that cannot be written
            to.
    """
    refuse_special(path)
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


def refuse_special(path: Path) -> None:
    """Refuses a device or a pipe: a rename would put a file in its place, for everybody.

    Raises:
        InputError: it is one, or a link to one, such as ``/dev/stdout``.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # nothing is there, or it cannot be: writing says why
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise InputError(
            f"Cannot write {path}: it is {kind_of(mode)}, and only a regular file is replaced. "
            "Name a file."
        )


def cannot_write(path: Path, error: OSError) -> InputError:
    """The error for an output that the system refuses."""
    reason = error.strerror or str(error)
    return InputError(f"Cannot write {path}: {reason}. Choose another place, or make room there.")


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def flush(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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

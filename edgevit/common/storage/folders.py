"""Folders that are whole or not there: written aside, then exchanged in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.storage.files import cannot_write, flush, resolved, sweep
from edgevit.common.storage.locks import lock_file, locked

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
# What renameat2 says where the system or the file system cannot exchange.
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
_BETWEEN_RENAMES_S = 5.0  # far longer than a living process needs from one rename to the next
_MOUNTS = Path("/proc/self/mountinfo")


@contextmanager
def folder_written_aside(
    target: Path, replace: bool, marker: str, wait_s: float = 0.0
) -> Iterator[Path]:
    """Yields an empty folder that becomes ``target`` when the block ends without an error.

    Args:
        replace: whether an existing target may be replaced.
        marker: the file that every such folder holds; a folder of other things is never replaced.
        wait_s: how long to wait for another process that writes the same target.

    Raises:
        InputError: ``target`` exists and may not be replaced, another process is writing it, or
            the place cannot be written to.
    """
    recover(target)
    refuse_existing(target, replace, marker)
    with workspace(target, wait_s) as folder:
        yield folder
        refuse_existing(target, replace, marker)
        put_in_place(folder, target)


@contextmanager
def workspace(target: Path, wait_s: float) -> Iterator[Path]:
    """An empty folder ``.NAME.partial`` beside the target, which is locked; gone afterwards.

    What a process that died left there is recovered or removed first.

    Raises:
        InputError: another process is writing the target, or its folder cannot be written to.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        with locked(target, wait_s):
            _recover(target)
            with _aside(target) as partial:
                yield partial
    except OSError as error:
        # An OSError from the block may be about a file of its own, which is not ours to explain.
        if error.filename is None or f".{target.name}." in str(error.filename):
            raise cannot_write(target, error) from error
        raise


def refuse_existing(target: Path, replace: bool, marker: str) -> None:
    """Raises InputError for a target that may not, or cannot, be replaced by a folder."""
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
    if reason := why_not_replaceable(target):
        raise InputError(f"{target} cannot be replaced: {reason}. Choose another place.")


def why_not_replaceable(folder: Path) -> str | None:
    """Why an existing folder cannot be exchanged for another and removed; None if it can."""
    if folder.is_symlink():
        return "it is a link"
    if is_mount_point(folder):
        return "it is a mount point; mount the folder above it instead"
    parent = folder.absolute().parent
    if not os.access(parent, os.W_OK | os.X_OK):
        return "the folder that holds it is not yours to write to"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return "it belongs to another user"
    mine = (os.geteuid(), folder.stat().st_uid, parent.stat().st_uid)
    if parent.stat().st_mode & stat.S_ISVTX and mine[0] not in (0, *mine[1:]):
        return "it belongs to another user"
    return None


def is_mount_point(folder: Path) -> bool:
    """Bind mounts too, which ``os.path.ismount`` does not see within one file system."""
    if folder.is_mount():
        return True
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    here = str(resolved(folder))
    return any(_unescaped(line.split()[4]) == here for line in lines if line.count(" ") > 4)


def _unescaped(path: str) -> str:
    """The kernel writes a space as ``\\040``."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def recover(target: Path) -> None:
    """Puts right what a process that died while it wrote ``target`` left beside it, or in it.

    A target that is missing because the process died between two renames is put back; what is left
    over otherwise is removed. Does nothing while another process is at work there, or where the
    folder cannot be written to.
    """
    if not target.name:  # the root folder: nothing is beside it
        return
    sweep(target)
    left = (_former(target), _partial(target), lock_file(target))
    if not any(path.exists() for path in left):
        return
    wait_s = 0.0 if target.exists() else _BETWEEN_RENAMES_S
    try:
        with locked(target, wait_s):
            _recover(target)
    except (InputError, OSError):
        return  # at work there, or not ours: whoever can write there will do it


def _recover(target: Path) -> None:
    """As ``recover``; the lock is held."""
    former = _former(target)
    if former.exists() and not target.exists():
        former.rename(target)
    for left_over in (former, _partial(target)):
        if left_over.exists():
            shutil.rmtree(left_over)


def _former(target: Path) -> Path:
    return target.with_name(f".{target.name}.former")


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """An empty folder; whatever stands in its place afterwards is removed."""
    partial = _partial(target)
    partial.mkdir()
    try:
        yield partial
    finally:
        if target.exists() or not _former(target).exists():  # else the old one is not back yet
            shutil.rmtree(partial, ignore_errors=True)


def _flush_files(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            flush(file)
    flush(folder)


def put_in_place(partial: Path, target: Path) -> None:
    """Makes a folder the target; what stood there before stands at ``partial``, or is gone.

    At every moment one of the two is at ``target``, where the file system can do that.
    """
    _flush_files(partial)
    if not target.exists():
        partial.rename(target)
    elif not exchange(partial, target):
        _put_in_place_by_two_renames(partial, target)
    flush(target.parent)


def exchange(first: Path, second: Path) -> bool:
    """Swaps two paths of one file system in one step; False where that is not possible.

    Raises:
        OSError: it is possible in principle, and was refused.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    paths = (os.fsencode(first), os.fsencode(second))
    if renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))


def _put_in_place_by_two_renames(partial: Path, target: Path) -> None:
    """Whatever ends this in between, the former folder is put back: now, or by ``recover``."""
    former = _former(target)
    try:
        target.rename(former)
        partial.rename(target)
    except BaseException:
        if former.exists() and not target.exists():
            former.rename(target)
        raise
    shutil.rmtree(former)

"""Files from outside: only regular ones are read, and never more of them than was agreed.

A name says nothing of what is behind it. A pipe would be waited for without end, a device such as
``/dev/zero`` never ends, and a sparse file of 40 GiB is a few bytes on disk. So every file that
somebody else made is opened here: without waiting, checked on the open descriptor, then read up to
a limit.
"""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path
from shlex import quote
from typing import BinaryIO

from edgevit.common.errors import InputError

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def open_regular(path: Path, what: str = "file") -> BinaryIO:
    """A regular file, opened for reading; links to one are followed.

    Args:
        what: what the file is to be, such as ``image``, for the message.

    Raises:
        InputError: there is none, it may not be read, or it is a pipe, a device or a folder.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody to write.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"No such {what}: {path}.") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise InputError(f"Cannot read {path}: {_reason(error)}.") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise InputError(f"{path} is {kind_of(mode)}; a regular file was expected ({what}).")
    return os.fdopen(descriptor, "rb")


def kind_of(mode: int) -> str:
    """What is behind a name instead of a regular file, such as ``a pipe``."""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "no file")


def native_name(path: Path) -> str | None:
    """A name that libraries in C++ can be given; None where it is not UTF-8.

    Given such a name, OpenCV crashes and ONNX Runtime fails: give them the content instead.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return None
    return str(path)


def read_bytes(path: Path, most_bytes: int, what: str = "file") -> bytes:
    """All of a regular file.

    Raises:
        InputError: see :func:`open_regular`; or it holds more than ``most_bytes``.
    """
    with open_regular(path, what) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            raise _too_large(path, size, most_bytes, what)
        try:
            content = file.read(most_bytes + 1)  # it may grow, or say that it is empty (/proc)
        except OSError as error:
            raise InputError(f"Cannot read {path}: {_reason(error)}.") from error
    if len(content) > most_bytes:
        raise _too_large(path, len(content), most_bytes, what)
    return content


def read_text(path: Path, most_bytes: int, what: str = "text file") -> str:
    """All of a text file in UTF-8, or in UTF-16 with a byte order mark; the mark is not part of it.

    Raises:
        InputError: see :func:`read_bytes`; or it is in another encoding: the place is named.
    """
    content = read_bytes(path, most_bytes, what)
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _decoded(content[len(mark) :], encoding, path)
    return _decoded(content, "utf-8", path)


def _decoded(content: bytes, encoding: str, path: Path) -> str:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        if encoding == "utf-8" and b"\0" in content:  # a picture or an archive
            raise InputError(f"{path} is no text file: line {line} holds binary data.") from None
        raise InputError(
            f"{path} is not text in {encoding.upper()}: line {line} holds the byte "
            f"0x{content[error.start]:02x}. Save it as UTF-8; if it is Latin-1: "
            f"iconv -f LATIN1 -t UTF-8 {quote(str(path))} > {quote(f'{path}.utf8')}"
        ) from None
    if "\0" in text:
        raise InputError(
            f"{path} holds NUL characters: it is no text, or UTF-16 without a byte order mark. "
            "Save it as UTF-8."
        )
    return text


def _too_large(path: Path, size: int, most_bytes: int, what: str) -> InputError:
    return InputError(
        f"{path} has {_amount(size)}; at most {_amount(most_bytes)} are read ({what})."
    )


def _amount(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size} bytes"


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)

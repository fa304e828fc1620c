"""What C and C++ libraries print by themselves, on standard error, harmless and bounded.

Libraries print names from models and complaints about pictures there, past Python: escape sequences
among them, and hundreds of lines of the same kind. So while a command runs, their standard error is
a pipe; what comes out of it is cleaned and said once. Python's own messages do not take that way.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from edgevit.common.untrusted.sanitize import harmless

_STDOUT, _STDERR = 1, 2
_CHUNK_BYTES = 1 << 16
_MOST_LINES = 20
_ENDING_S = 0.5  # a child that lives on may hold the pipe open
_ESCAPE_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?)"
)
_NUMBER = re.compile(r"0x[0-9a-f]+|[0-9]+", re.IGNORECASE)
# What the decoders of pictures print: edgevit says itself which picture it cannot read.
_OF_PICTURES = re.compile(
    r"libpng (warning|error)|Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|"
    r"Invalid SOS parameters|Warning: unknown JFIF|Unknown Adobe color|Application transferred"
)


@contextmanager
def native_output_on_stderr() -> Iterator[None]:
    """What C and C++ libraries print on standard output goes to standard error.

    Standard output is for results, which other programs read. Where it is closed, nothing changes.
    """
    try:
        real = os.dup(_STDOUT)
    except OSError:
        yield
        return
    flush_all = ctypes.CDLL(None).fflush
    flush_all(None)
    os.dup2(_STDERR, _STDOUT)
    try:
        yield
    finally:
        flush_all(None)
        os.dup2(real, _STDOUT)
        os.close(real)


@contextmanager
def native_output_filtered() -> Iterator[None]:
    """Standard error of everything but Python goes through a filter until the block ends.

    Where standard error is not the process's own (a test that captures it), nothing is changed.
    """
    if not _is_own(sys.stderr):
        yield
        return
    real, own = os.dup(_STDERR), sys.stderr
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)  # a flood is lost, instead of a library waiting for Python
    os.dup2(inlet, _STDERR)
    os.close(inlet)
    target = os.fdopen(
        real, "w", buffering=1, encoding=own.encoding, errors="backslashreplace", closefd=False
    )
    reader = threading.Thread(target=_pass_on, args=(outlet, target), daemon=True)
    reader.start()
    sys.stderr = target
    try:
        yield
    finally:
        sys.stderr = own
        os.dup2(real, _STDERR)
        reader.join(_ENDING_S)
        target.flush()
        if not reader.is_alive():
            os.close(real)


def _is_own(stream: TextIO) -> bool:
    try:
        return stream.fileno() == _STDERR
    except (OSError, ValueError):  # captured, or closed
        return False


def _pass_on(outlet: int, target: TextIO) -> None:
    lines = _Lines(target)
    rest = b""
    while chunk := os.read(outlet, _CHUNK_BYTES):
        *whole, rest = (rest + chunk)[-2 * _CHUNK_BYTES :].split(b"\n")
        for line in whole:
            lines.take(line)
    lines.take(rest)
    os.close(outlet)


class _Lines:
    """Says a line of each kind, and no more than some."""

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._kinds: set[str] = set()

    def take(self, line: bytes) -> None:
        text = harmless(_ESCAPE_SEQUENCE.sub("", line.decode(errors="replace"))).strip()
        kind = _NUMBER.sub("#", text)
        full = len(self._kinds) >= _MOST_LINES
        if not text or full or kind in self._kinds or _OF_PICTURES.search(text):
            return
        self._kinds.add(kind)
        print(f"library: {text}", file=self._target, flush=True)

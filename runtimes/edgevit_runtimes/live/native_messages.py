"""What libraries print on standard error from C, such as libjpeg a line for each damaged frame."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from edgevit.common.sanitize import harmless

_STDERR = 2
_MOST_KINDS = 20
_LONGEST_LINE_BYTES = 1 << 16
_JOIN_S = 1.0
_DIGITS = re.compile("(0x[0-9a-f]+|[0-9]+)", re.IGNORECASE)


@contextmanager
def said_once(say: Callable[[str], None]) -> Iterator[None]:
    """In the block, each kind of such a message is said once, in one harmless line.

    Lines that differ in their numbers are of one kind. At the end, the repetitions are counted.
    What Python itself writes to ``sys.stderr`` goes where it went. Not for use in several threads.
    """
    original = os.dup(_STDERR)
    read_end, write_end = os.pipe()
    listener = _Listener(read_end, say)
    former = sys.stderr
    sys.stderr = _direct(former, original)
    os.dup2(write_end, _STDERR)
    os.close(write_end)
    try:
        yield
    finally:
        os.dup2(original, _STDERR)  # closes the pipe's last end, which ends the listener
        listener.finish()
        if sys.stderr is not former:
            sys.stderr.close()
        sys.stderr = former
        os.close(original)


def _direct(stream: TextIO, original: int) -> TextIO:
    """``sys.stderr`` past the pipe; as it is where it writes elsewhere already."""
    try:
        goes_there = stream.fileno() == _STDERR
    except (OSError, ValueError):
        goes_there = False
    if not goes_there:
        return stream
    raw = os.fdopen(os.dup(original), "wb")
    return io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=True)


class _Listener:
    """Reads a pipe to its end in a thread of its own."""

    def __init__(self, read_end: int, say: Callable[[str], None]) -> None:
        self._stream = os.fdopen(read_end, "rb")
        self._say = say
        self._kinds: set[str] = set()
        self._repeated = 0
        self._thread = threading.Thread(target=self._read, name="native-messages", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            while line := self._stream.readline(_LONGEST_LINE_BYTES):
                self._note(harmless(line.decode(errors="replace")).strip())

    def _note(self, line: str) -> None:
        kind = _DIGITS.sub("#", line)
        if not line:
            return
        if kind in self._kinds or len(self._kinds) >= _MOST_KINDS:
            self._repeated += 1
            return
        self._kinds.add(kind)
        self._say(f"note: {line}")

    def finish(self) -> None:
        self._thread.join(_JOIN_S)  # a process that was started meanwhile may hold the pipe open
        if self._repeated:
            self._say(f"note: {self._repeated} more messages of libraries like these")

"""Inputs read in a child process with limits: what it cannot survive is counted, not suffered."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from edgevit.common.errors import EdgevitError

MOST_SECONDS = 20.0
MOST_BYTES = 2 << 30
_SHOWN_FAILURES = 20
_EXIT_CODES = (1, 2)


@dataclass(frozen=True)
class Subject:
    """A kind of file.

    make: the bytes of input number ``i``. read: gives them to edgevit; EdgevitError is a refusal.
    warm: imports what ``read`` needs, before the child begins.
    """

    name: str
    make: Callable[[int], bytes]
    read: Callable[[bytes], None]
    warm: Callable[[], None] = lambda: None


@dataclass
class Found:
    """outcomes: answers, refusals and failures. failures: of each kind, the first input.

    slowest_s: of one input. peak_mib: of the child that held most.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: dict[str, int] = field(default_factory=dict)
    slowest_s: float = 0.0
    peak_mib: int = 0

    def count(self, number: int, outcome: str, seconds: float, peak_mib: int = 0) -> None:
        """Takes in one input. outcome: ``answer``, ``refusal``, or what went wrong."""
        self.slowest_s, self.peak_mib = max(self.slowest_s, seconds), max(self.peak_mib, peak_mib)
        failed = outcome not in ("answer", "refusal")
        if peak_mib >= MOST_BYTES >> 20:
            failed, outcome = True, f"{peak_mib} MiB"
        self.outcomes["failure" if failed else outcome] += 1
        if failed and len(self.failures) < _SHOWN_FAILURES:
            self.failures.setdefault(outcome, number)

    def __str__(self) -> str:
        said = ", ".join(
            f"{self.outcomes[kind]} {kind}s" for kind in ("answer", "refusal", "failure")
        )
        return (
            f"{self.outcomes.total()} inputs: {said}; slowest {self.slowest_s:.2f} s, "
            f"peak {self.peak_mib} MiB"
        )


def fuzz(subject: Subject, seconds: float, most: int, kept: Path) -> Found:
    """Reads inputs for a time, or so many of them.

    Args:
        kept: the folder for inputs that brought a failure about.
    """
    subject.warm()
    found, number, end = Found(), 0, time.monotonic() + seconds
    while number < most and time.monotonic() < end:
        number = _in_child(subject, number, most, end, found)
    for place, (reason, first) in enumerate(found.failures.items()):
        file = kept / f"{subject.name.replace(' ', '-')}-{place}"
        file.write_bytes(subject.make(first))
        file.with_suffix(".txt").write_text(f"input {first}\n{reason}\n")
    return found


def _in_child(subject: Subject, number: int, most: int, end: float, found: Found) -> int:
    """Counts inputs until the time is over or the child is dead; the number of the next input."""
    told, telling = Pipe(duplex=False)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        told.close()
        _read_inputs(subject, number, most, end, telling)
    telling.close()
    try:
        while True:
            started = time.monotonic()
            if not select.select([told], [], [], MOST_SECONDS)[0]:
                found.count(number, f"no end after {MOST_SECONDS:.0f} s", MOST_SECONDS)
                return number + 1
            try:
                found.count(number, *told.recv())
            except EOFError:  # it ended, or was ended
                break
            number += 1
        _, status = os.waitpid(child, 0)
        child = 0
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    if status:
        died = os.waitstatus_to_exitcode(status)
        found.count(number, f"ended with {died}", time.monotonic() - started)
        return number + 1
    return number


def _read_inputs(subject: Subject, number: int, most: int, end: float, telling: Connection) -> None:
    """The child: never returns."""
    _limit()
    try:
        while number < most and time.monotonic() < end:
            data = subject.make(number)
            started = time.monotonic()
            outcome = outcome_of(subject, data)
            peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            telling.send((outcome, time.monotonic() - started, peak_mib))
            number += 1
        telling.close()
        os._exit(0)
    except BaseException as error:
        telling.send((f"not an input: {_placed(error)}", 0.0, 0))
        os._exit(0)


def outcome_of(subject: Subject, data: bytes) -> str:
    """``answer``, ``refusal``, or the traceback of what should not have been raised."""
    try:
        subject.read(data)
    except EdgevitError as error:
        return "refusal" if error.exit_code in _EXIT_CODES and str(error).strip() else repr(error)
    except BaseException as error:  # a panic of a library in Rust is no Exception
        return _placed(error)
    return "answer"


def _placed(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{Path(at.filename).name}:{at.lineno}" for at in reversed(last))
    return f"{type(error).__name__} at {where}"


def _limit() -> None:
    """2 GiB beyond what the libraries take by being loaded, and silence."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)

"""Progress for long work: a live bar on a terminal, plain lines elsewhere, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from typing import Protocol

from edgevit.common.untrusted.sanitize import printable


class Detail(Enum):
    """How much a command says while it works."""

    QUIET = "quiet"
    USUAL = "usual"
    VERBOSE = "verbose"


class Advance(Protocol):
    """Moves a bar on by some steps; the note stands beside it."""

    def __call__(self, steps: int = 1, note: str = "") -> None: ...


class Progress(Protocol):
    """Where a library function reports how far it is."""

    def line(self, text: str) -> None:
        """One finished thing."""
        ...

    def working(self, label: str) -> AbstractContextManager[object]:
        """While something of unknown length goes on."""
        ...

    def bar(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """``with progress.bar("calibrate", 256) as advance: advance()``."""
        ...


@contextmanager
def stage(progress: Progress, name: str) -> Iterator[None]:
    """Reports a named step and how long it took, if it succeeds."""
    started = time.perf_counter()
    with progress.working(name):
        yield
    progress.line(f"{name}  {time.perf_counter() - started:.1f} s")


class SilentProgress:
    """For library use and for machines."""

    def line(self, text: str) -> None:
        del text

    def working(self, label: str) -> AbstractContextManager[object]:
        del label
        return nullcontext()

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        del label, total

        def advance(steps: int = 1, note: str = "") -> None:
            del steps, note

        yield advance


class PlainProgress:
    """Lines for logs and pipes: a bar prints at most one line every ``every_s`` seconds."""

    def __init__(self, every_s: float = 10.0, says_beginnings: bool = False) -> None:
        self.every_s = every_s
        self.says_beginnings = says_beginnings

    def line(self, text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    def working(self, label: str) -> AbstractContextManager[object]:
        if self.says_beginnings:
            self.line(f"{label} ...")
        return nullcontext()  # the line that follows says what was done

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        done, last = 0, time.monotonic()

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal done, last
            done += steps
            if time.monotonic() - last >= self.every_s:
                last = time.monotonic()
                self.line(f"{label}  {done}/{total}  {note}".rstrip())

        yield advance


class TerminalProgress:
    """Rich bars and spinners that vanish when they are done."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False)

    def line(self, text: str) -> None:
        self.console.print(printable(text), markup=False)

    def working(self, label: str) -> AbstractContextManager[object]:
        from rich.markup import escape

        return self.console.status(escape(printable(label)))

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with RichProgress(*columns, console=self.console, transient=True) as live:
            task = live.add_task(printable(label), total=total, note="")

            def advance(steps: int = 1, note: str = "") -> None:
                live.update(task, advance=steps, note=note)

            yield advance


_detail = Detail.USUAL
_VERBOSE_EVERY_S = 1.0


def set_detail(detail: Detail) -> None:
    """For :func:`progress_for_stderr` and the log of libraries, until it is set again."""
    global _detail  # noqa: PLW0603  (one command a process)
    _detail = detail
    if detail is Detail.VERBOSE:
        import logging  # a millisecond that few commands need to take

        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")


def is_quiet() -> bool:
    """Whether only results and errors are to be said."""
    return _detail is Detail.QUIET


def progress_for_stderr() -> Progress:
    """A live bar if standard error is a terminal, else plain lines; nothing with --quiet."""
    if _detail is Detail.QUIET:
        return SilentProgress()
    if _detail is Detail.VERBOSE:
        return PlainProgress(_VERBOSE_EVERY_S, says_beginnings=True)
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()

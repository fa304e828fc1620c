"""Commands in processes of their own, and how they ended."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.common.progress import Advance, SilentProgress

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT, ROOT / "export", ROOT / "runtimes")
_NOBODY = 65534
_HANGS_S = 600
SHARED_DATA = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def one_message(self) -> str:
        """The error of a user's mistake: one line, no traceback.

        A bar that is at work for ten seconds, as on a busy machine, says so in lines of its own.
        """
        said = self.err.strip().splitlines()
        lines = [line for line in said if not _PROGRESS.fullmatch(line)]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0]


Command = Callable[..., Finished]
_PROGRESS = re.compile(r".*  \d+/\d+(  .*)?")  # as PlainProgress writes it


def environment() -> dict[str, str]:
    """An environment in which a child finds the packages, installed or not."""
    paths = [*map(str, SOURCES), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def python(*arguments: object, cwd: Path | None = None) -> Finished:
    """Python in a fresh process."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=_HANGS_S)
    except BaseException:  # it hangs, or Ctrl-C: with what it started
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return Finished(process.returncode, out, err)


def begin(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own, under way; ``options`` are Popen's."""
    return begin_python("-m", "edgevit", *arguments, **options)


def begin_python(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Python in a process of its own, under way."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **options,
    )


@contextmanager
def not_root() -> Iterator[None]:
    """For the kernel's check of who may open a file (``access``), somebody without privilege.

    ``access`` asks for the real user; root keeps its effective one and so comes back.
    """
    user = os.getuid()
    if user == 0:
        os.setreuid(_NOBODY, -1)
    try:
        yield
    finally:
        if user == 0:
            os.setreuid(0, 0)


class StopAfter(SilentProgress):
    """Presses Ctrl-C after some steps; a step is an advance with a note."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        with super().bar(label, total):
            yield self._advance

    def _advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= steps if note else 0
        if note and self.left == 0:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    """No file of this process may grow above a size."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)

"""One edit after another, each in a process that is ended at a random moment; then a look."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

_ASKING = (signal.SIGINT, signal.SIGTERM)
_SIGNALS = (signal.SIGKILL,) * 8 + (signal.SIGTERM, signal.SIGINT)
_TIMED_RUNS = 4
_AIMED = 0.6  # of the kills: at what is written, which a command does in its last moments
_POLL_S = 0.0003
_FAILED = 99
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Edit:
    """Something that changes files, in a folder of its own.

    share: of all kills.
    prepare: makes the files as they are before the first edit.
    run: makes edit number ``n``; in a child process.
    state: reads the files, raises where they are not whole, and says what they hold.
    is_right: of (before, number, after), whether that may be so after edit ``number`` was ended.
    settle: the next command, in a child too; None: another edit. Afterwards nothing is left over.
    damage: is done to the files before every edit.
    cleans_up: whether the edit goes by the command line, which removes what it began when it is
        asked to end (SIGTERM, SIGINT).
    """

    name: str
    share: float
    prepare: Callable[[Path], None]
    run: Callable[[Path, int], None]
    state: Callable[[Path], object]
    is_right: Callable[[object, int, object], bool]
    settle: Callable[[Path], None] | None = None
    damage: Callable[[Path, int], None] | None = None
    cleans_up: bool = False


@dataclass(frozen=True)
class Usual:
    """How long an edit takes, and the part of it after something was first written aside."""

    whole_s: float
    writing_s: float


@dataclass
class Tally:
    """kills: by the signal's name. states: whether the files were as before, or as after."""

    kills: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    ended_before: int = 0
    losses: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        signals = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        states = ", ".join(f"{count} {name}" for name, count in sorted(self.states.items()))
        return (
            f"{self.kills.total()} kills ({signals}): {states}; {len(self.losses)} losses "
            f"({self.ended_before} had ended before)"
        )


def kill_often(edit: Edit, folder: Path, kills: int, chance: random.Random) -> Tally:
    """Edits, ends, looks, until so many processes were ended in the middle."""
    if (code := _in_child(lambda: edit.prepare(folder))) != 0:
        raise RuntimeError(f"{edit.name} could not be prepared: {code}")
    tally, number = Tally(), 0
    usual = _usual(edit, folder)
    while tally.kills.total() < kills and len(tally.losses) < _MOST_SHOWN:
        number += 1
        if edit.damage is not None:
            edit.damage(folder, number)
        before = edit.state(folder)
        ended = _killed(edit, folder, number, usual, chance)
        if ended is None:
            tally.ended_before += 1
            continue
        tally.kills[ended] += 1
        _look(edit, folder, number, before, ended, tally)
    return tally


def _look(edit: Edit, folder: Path, number: int, before: object, ended: str, tally: Tally) -> None:
    """At once, and after the next command."""
    where = f"{edit.name}, edit {number}, {ended}"
    try:
        if edit.cleans_up and ended in ("SIGTERM", "SIGINT") and left_over(folder):
            tally.losses.append(f"{where}: left at once: {left_over(folder)}")
        after = edit.state(folder)
        if not edit.is_right(before, number, after):
            tally.losses.append(f"{where}: {before} became {after}")
        else:
            tally.states["as before" if after == before else "as after"] += 1
        settle = edit.settle or (lambda folder: edit.run(folder, -number))
        if (code := _in_child(lambda: settle(folder))) != 0:
            tally.losses.append(f"{where}: the next command ended with {code}")
        edit.state(folder)
        if left := left_over(folder):
            tally.losses.append(f"{where}: left after the next command: {left}")
    except Exception:
        tally.losses.append(f"{where}: {traceback.format_exc(limit=-3)}")


def left_over(folder: Path) -> list[str]:
    """What is written aside: names that begin with a dot."""
    return sorted(
        str((Path(place) / name).relative_to(folder))
        for place, folders, files in os.walk(folder)  # which passes over what is gone meanwhile
        for name in (*folders, *files)
        if name.startswith(".")
    )


def _usual(edit: Edit, folder: Path) -> Usual:
    """The shortest of some: afterwards everything is in the system's cache."""
    whole, writing = [], []
    for number in range(-_TIMED_RUNS, 0):
        if edit.damage is not None:
            edit.damage(folder, number)
        started = time.perf_counter()
        child = _fork(partial(edit.run, folder, number))
        code = _wait_for_writing(child, folder)
        begun = ended = time.perf_counter()
        while code is None:
            if left_over(folder):
                ended = time.perf_counter()
            code = _code_if_ended(child)
        if code:
            raise RuntimeError(f"{edit.name} ended with {code} without being killed")
        whole.append(ended - started)
        writing.append(ended - begun)
    return Usual(min(whole), min(writing))


def _code_if_ended(child: int) -> int | None:
    ended, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _wait_for_writing(child: int, folder: Path) -> int | None:
    """Until something is written aside; the exit code where the child ended first."""
    while not left_over(folder):
        if (code := _code_if_ended(child)) is not None:
            return code
        time.sleep(_POLL_S)
    return None


def _killed(
    edit: Edit, folder: Path, number: int, usual: Usual, chance: random.Random
) -> str | None:
    """The signal that ended the edit; None where it had ended before."""
    signum, aimed = chance.choice(_SIGNALS), chance.random() < _AIMED
    child = _fork(partial(edit.run, folder, number))
    if aimed and _wait_for_writing(child, folder) is not None:
        return None
    time.sleep(chance.uniform(0, usual.writing_s if aimed else usual.whole_s))
    if os.waitpid(child, os.WNOHANG)[0]:
        return None
    os.kill(child, signum)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return signum.name if code in (-signum, 128 + signum) else None


def _in_child(work: Callable[[], None]) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(_fork(work), 0)[1])


def _fork(work: Callable[[], None]) -> int:
    """A child that works, and ends with 0, or with 99 after a traceback."""
    sys.stdout.flush()
    # A signal that the child takes as this process does would run this process's clean-up there.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        return child
    for signum in _ASKING:
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)
    said, silent = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)
    try:
        work()
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except BaseException:
        os.write(said, traceback.format_exc().encode())
        os._exit(_FAILED)
    os._exit(0)

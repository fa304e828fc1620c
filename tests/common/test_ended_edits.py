"""A process may be ended at any moment: files are as before, or as after. See ``make chaos``."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.common.storage.files import write_atomically
from support import ROOT
from support.chaos.kills import Edit, kill_often
from support.fuzzing.small_bundle import small_bundle
from support.processes import python

pytestmark = pytest.mark.early

KILLS = 40
_STEPS, _STEP_S = 20, 0.003


def test_ended_edits_lose_nothing() -> None:
    """Some kills; ``make chaos`` goes on for a thousand, of every kind of edit."""
    ended = python(
        *("-m", "support.chaos.run_chaos", "--only", "edit of", "--kills", KILLS),
        cwd=ROOT / "tests",
    )
    assert ended.code == 0, ended.out + ended.err
    assert "0 losses" in ended.out.splitlines()[-1]


def by_and_by(file: Path, number: int) -> None:
    with file.open("w") as stream:
        for _ in range(_STEPS):
            stream.write(f"{number}\n")
            stream.flush()
            time.sleep(_STEP_S)


def in_place(folder: Path, number: int) -> None:
    by_and_by(folder / "file", number)


def aside(folder: Path, number: int) -> None:
    write_atomically(folder / "file", lambda file: by_and_by(file, number))


def aside_and_left(folder: Path, number: int) -> None:
    by_and_by(folder / f".{number}.partial", number)
    (folder / f".{number}.partial").replace(folder / "file")


def numbers(folder: Path) -> list[str]:
    return (folder / "file").read_text().split()


def is_whole(before: object, number: int, after: object) -> bool:
    return after in (before, [str(number)] * _STEPS)


@pytest.mark.parametrize(
    ("write", "lost"),
    [(in_place, "became"), (aside_and_left, "left after the next command"), (aside, None)],
)
def test_losses_are_seen(tmp_path: Path, write: object, lost: str | None) -> None:
    edit = Edit("made up", 1.0, lambda folder: in_place(folder, 0), write, numbers, is_whole)  # type: ignore[arg-type]
    tally = kill_often(edit, tmp_path, 12, random.Random(0))
    if lost is None:
        assert not tally.losses
        assert tally.kills.total() == 12
    else:
        assert any(lost in loss for loss in tally.losses)


def test_a_bundle_is_swept_when_it_is_opened(tmp_path: Path) -> None:
    """Of what a process left that died while it wrote the manifest; also a second time."""
    path = small_bundle(tmp_path / "small.edgevit").path
    for _ in range(2):
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        left = path / f".manifest.json.{dead.pid}.partial"
        alive = path / f".manifest.json.{os.getpid()}.partial"
        for file in (left, alive):
            file.write_text("half")
        Bundle.open(path)
        assert not left.exists()
        assert alive.exists()

"""Nothing is half-written: full disks, two writers, killed writers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgevit.common.errors import InputError
from edgevit.common.storage.files import write_atomically
from edgevit.common.storage.folders import folder_written_aside
from support import environment


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a" / "out"
    with folder_written_aside(target, replace=False, marker="file") as folder:
        (folder / "file").write_text("x")
        assert not target.exists()
    assert [p.name for p in target.parent.iterdir()] == ["out"]
    assert (target / "file").read_text() == "x"


def test_an_error_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with folder_written_aside(target, replace=False, marker="file") as folder:
        (folder / "file").write_text("old")
    with (
        pytest.raises(ValueError, match="boom"),
        folder_written_aside(target, replace=True, marker="file") as folder,
    ):
        (folder / "file").write_text("new")
        _raise()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (target / "file").read_text() == "old"
    with folder_written_aside(target, replace=True, marker="file") as folder:
        (folder / "file").write_text("new")
    assert (target / "file").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["other things", "a file", "a dangling link"])
def test_what_is_not_ours_is_never_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "precious"
    if kind == "other things":
        target.mkdir()
        (target / "thesis.txt").write_text("years of work")
    elif kind == "a file":
        target.write_text("years of work")
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.raises(InputError, match="Choose another name"),
        folder_written_aside(target, replace=True, marker="file"),
    ):
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_an_error_about_another_file_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        folder_written_aside(tmp_path / "out", replace=False, marker="file"),
    ):
        (tmp_path / "another").read_text()


def _raise() -> None:
    raise ValueError("boom")


def test_an_existing_folder_is_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(InputError, match="already exists"),
        folder_written_aside(tmp_path / "out", replace=False, marker="file"),
    ):
        pass


def test_the_second_of_two_writers_is_told(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with folder_written_aside(target, replace=False, marker="file") as folder:
        (folder / "file").write_text("first")
        with (
            pytest.raises(InputError, match="Another process is writing"),
            folder_written_aside(target, replace=True, marker="file"),
        ):
            pass
    assert (target / "file").read_text() == "first"


_WRITER = """
import sys, time
from pathlib import Path
from edgevit.common.storage.folders import folder_written_aside
with folder_written_aside(Path(sys.argv[1]), replace=False, marker="file") as folder:
    (folder / "half").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_writer_left_is_swept_by_the_next(tmp_path: Path) -> None:
    target = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(target)], stdout=subprocess.PIPE, env=environment()
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"writing\n"
    with (
        pytest.raises(InputError, match="Another process"),
        folder_written_aside(target, replace=False, marker="file"),
    ):
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not target.exists()
    with folder_written_aside(target, replace=False, marker="file") as folder:
        assert list(folder.iterdir()) == []
        (folder / "file").write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_many_writers_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    target, refused = tmp_path / "out", []

    def write(i: int) -> None:
        try:
            with folder_written_aside(target, replace=True, marker="file") as folder:
                for part in ("file", "b", "c", "d", "e"):
                    (folder / part).write_text(str(i))
                    time.sleep(0.002)
        except InputError:
            refused.append(i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({p.read_text() for p in target.iterdir()}) == 1
    assert len(list(target.iterdir())) == 5
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert len(refused) < 12


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def fail(aside: Path) -> None:
        aside.write_text("half")
        raise OSError(28, os.strerror(28))

    with pytest.raises(InputError, match="No space left on device"):
        write_atomically(target, fail)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]

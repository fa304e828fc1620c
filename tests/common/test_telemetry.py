"""No library that we load reports about its user, unless that user wants it to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgevit.common.telemetry import SWITCHES
from edgevit.images.image_io import Image
from edgevit.zoo import PREBUILT_BUNDLE
from support import environment
from support.cameras import jpeg
from support.needs import needs_openvino, needs_strace, not_here

pytestmark = pytest.mark.early

_INTERNET = re.compile(r"sa_family=AF_INET6?,")
_HERE = re.compile(r"127\.0\.0\.1|::1")
_TRACED = "trace=connect,sendto,sendmsg,sendmmsg"


def clean_environment(home: Path, **given: str) -> dict[str, str]:
    """A home without anybody's consent, and none of our switches from the test's own process."""
    kept = {name: value for name, value in environment().items() if name not in SWITCHES}
    caches = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return {**kept, **caches, **given}


def left_behind(home: Path) -> list[str]:
    """Files but edgevit's own: it remembers hashes of large files in its cache."""
    own = home / "cache" / "edgevit"
    files = (path for path in home.rglob("*") if path.is_file() and own not in path.parents)
    return sorted(str(path.relative_to(home)) for path in files)


def calls_elsewhere(trace: Path) -> list[str]:
    """What a process and its children said to the internet."""
    lines = trace.read_text(errors="replace").splitlines()
    return [line for line in lines if _INTERNET.search(line) and not _HERE.search(line)]


def traced(arguments: list[object], home: Path, trace: Path) -> None:
    command = ["strace", "-f", "-qq", "-e", _TRACED, "-o", trace, sys.executable, *arguments]
    ended = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(home),
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr


@needs_strace
def test_a_run_longer_than_onnxruntimes_patience(tmp_path: Path, photos: list[Image]) -> None:
    """It looked up its maker's host after some twenty seconds, and wrote a device id at once."""
    home = tmp_path / "home"
    home.mkdir()
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(28):
        (folder / f"{i:02d}.jpg").write_bytes(jpeg(photos[0]))
    traced(
        ["-m", "edgevit", "run", PREBUILT_BUNDLE, folder, "--fps", "1", "--jsonl", "/dev/null"],
        home,
        tmp_path / "trace",
    )
    assert calls_elsewhere(tmp_path / "trace") == []
    assert set(left_behind(home)) <= {"cache/edgevit/hashes.json"}, "our own memory of hashes"


@needs_strace
@needs_openvino
def test_importing_openvino(tmp_path: Path) -> None:
    """It looked up Google Analytics, and wrote a client id into the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    code = """
import sys
from edgevit.common.telemetry import import_quietly
openvino = import_quietly("openvino")
assert openvino.Core().available_devices
assert import_quietly("openvino") is openvino
import openvino_telemetry  # it is there for whoever wants it
"""
    traced(["-c", code], home, tmp_path / "trace")
    assert calls_elsewhere(tmp_path / "trace") == []
    assert left_behind(home) == []


@needs_strace
@needs_openvino
def test_these_tests_would_see_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    traced(["-c", "import openvino, time; time.sleep(2)"], home, tmp_path / "trace")
    if not calls_elsewhere(tmp_path / "trace"):
        not_here("this OpenVINO reports nothing, or there is no network to look for")
    assert left_behind(home)


def children_that_import(name: str) -> list[str]:
    """Lines of our sources that import a library past the one that does it quietly."""
    root = Path(__file__).parents[1]
    statement = re.compile(rf"^\s*(import|from) {name}\b")
    return [
        f"{file.name}: {line.strip()}"
        for folder in ("edgevit", "export", "runtimes", "benchmarks")
        for file in (root / folder).rglob("*.py")
        for line in file.read_text().splitlines()
        if statement.search(line)
    ]


def test_nobody_imports_openvino_aloud() -> None:
    assert children_that_import("openvino") == []


def test_a_user_who_wants_it_may(tmp_path: Path) -> None:
    code = f"import edgevit, os; print([os.environ[name] for name in {list(SWITCHES)!r}])"
    for given, expected in (
        ({}, list(SWITCHES.values())),
        (dict.fromkeys(SWITCHES, "yes"), ["yes"] * len(SWITCHES)),
    ):
        ended = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=clean_environment(tmp_path, **given),
        )
        assert ended.stdout.strip() == str(expected)


def test_processes_that_we_start_inherit_it() -> None:
    assert all(os.environ.get(name) for name in SWITCHES)

"""An exception that nothing expected: a person is told that it is a bug, and what to report."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.common.version import __version__
from edgevit.workflows import inspect as workflow
from edgevit.zoo import PREBUILT_BUNDLE
from support import Command


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("EDGEVIT_DEBUG", raising=False)
    return tmp_path


class Panic(BaseException):
    """As a library in Rust raises it: no ``Exception``."""


@pytest.fixture(params=[KeyError, Panic])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """``edgevit inspect`` with a bug in it."""

    def fail(*arguments: object, **options: object) -> None:
        raise request.param("rtsp://user:secret@camera\x1b[2J")

    monkeypatch.setattr(workflow, "BundleSummary", fail)


@pytest.mark.usefixtures("broken")
def test_a_bug_is_called_one(cache: Path, edgevit: Command) -> None:
    ended = edgevit("inspect", PREBUILT_BUNDLE)
    assert ended.code == 70
    message = ended.one_message
    assert "this is a bug in edgevit: 'edgevit inspect' ended with" in message
    assert f"edgevit {__version__}, Python " in message
    file = cache / "edgevit" / "last_bug.txt"
    assert str(file) in message
    details = file.read_text()
    assert details.startswith("edgevit inspect\n")
    assert "Traceback" in details
    assert "onnxruntime" in details
    for said in (message, details):
        assert "secret" not in said
        assert "\x1b" not in said


@pytest.mark.usefixtures("broken", "cache")
def test_the_traceback_can_be_asked_for(edgevit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVIT_DEBUG", "1")
    ended = edgevit("inspect", PREBUILT_BUNDLE)
    assert ended.code == 70
    assert "Traceback" in ended.err
    assert "secret" not in ended.err


@pytest.mark.usefixtures("broken")
def test_without_a_cache_the_message_says_how_to_see_it(
    cache: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "absent" / "absent"))
    ended = edgevit("inspect", PREBUILT_BUNDLE)
    assert ended.code == 70
    assert "EDGEVIT_DEBUG=1" in ended.one_message


@pytest.mark.parametrize("command", ["list", "add"])
def test_no_home_folder_is_no_bug(
    command: str, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    ended = edgevit("devices", command, *(("box", "user@box") if command == "add" else ()))
    assert ended.code == 2
    assert "Set XDG_CONFIG_HOME" in ended.one_message


def test_too_little_memory_is_no_bug(edgevit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(workflow, "BundleSummary", fail)
    ended = edgevit("inspect", PREBUILT_BUNDLE)
    assert ended.code == 2
    assert "not enough memory" in ended.one_message

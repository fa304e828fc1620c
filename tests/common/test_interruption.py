"""Signals wait for what must not be left halfway."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgevit.common.storage import locks
from edgevit.common.storage.interruption import is_put_off, uninterrupted
from edgevit.common.storage.locks import lock_file, locked


class Interrupted(BaseException):
    """As the command line's handler raises it."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    def interrupt(signum: int, frame: object) -> None:
        del frame
        if not is_put_off(signum):
            raise Interrupted

    former = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, former)


def test_a_signal_comes_when_the_outermost_block_ends() -> None:
    done = []
    with pytest.raises(Interrupted), uninterrupted():
        with uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]


def test_outside_a_block_it_comes_at_once() -> None:
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("step", ["_acquired", "_release"])
def test_a_lock_file_goes_whenever_the_signal_comes(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it has just been made, and before it is removed."""
    real = getattr(locks, step)

    def signalled(*arguments: object) -> object:
        if step == "_release":
            signal.raise_signal(signal.SIGTERM)
        result = real(*arguments)
        if step == "_acquired":
            signal.raise_signal(signal.SIGTERM)
        return result

    monkeypatch.setattr(locks, step, signalled)
    with pytest.raises(Interrupted), locked(tmp_path / "file"):
        assert step == "_release", "a signal that came before is raised first"
    assert not lock_file(tmp_path / "file").exists()
    monkeypatch.undo()
    with locked(tmp_path / "file", 0):
        pass

"""Threads that nobody waits for, for as long as they are at work and no longer."""

from __future__ import annotations

import threading
import time

import pytest

from edgevit.common.workers import any_abandoned, workers


def test_after_an_error_threads_are_abandoned_until_they_end() -> None:
    go_on = threading.Event()
    with pytest.raises(RuntimeError), workers(1) as pool:
        pool.submit(go_on.wait, 60)
        raise RuntimeError
    assert any_abandoned()
    go_on.set()
    until = time.monotonic() + 10
    while any_abandoned():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_when_all_went_well_they_have_ended() -> None:
    with workers(2) as pool:
        assert pool.submit(int, "3").result() == 3
    assert not [one for one in threading.enumerate() if one.name.startswith("edgevit-worker-")]

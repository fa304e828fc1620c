"""Signals that ask for the end wait for moments that must not be left halfway.

The command line turns these signals into an exception, which may come between any two steps:
also between making a file and the code that removes it again. Such steps stand in a block of
``uninterrupted``.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_blocks: list[None] = []  # as many as the main thread is in; signals are handled in that thread
_waiting: list[int] = []


def ending_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, SIGTERM, and the end of the terminal, where ``nohup`` does not ignore that."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return tuple(signals)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Puts signals off until the block ends; it must be short. In other threads it does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _blocks.append(None)
    try:
        yield
    finally:
        _blocks.pop()
        if _waiting and not _blocks:
            signum = _waiting[0]
            _waiting.clear()
            signal.raise_signal(signum)


def is_put_off(signum: int) -> bool:
    """For a signal's handler: whether to do nothing now, because it will be called again."""
    if _blocks:
        _waiting.append(signum)
    return bool(_blocks)

"""Threads that read and decode, and never keep the process from ending."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

_abandoned: list[ThreadPoolExecutor] = []


def any_abandoned() -> bool:
    """Whether threads may be at work that nobody waits for: Python would wait at its end."""
    return bool(_abandoned)


@contextmanager
def workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose end is waited for only when all went well.

    After an error or a signal nobody waits: a thread may be in the middle of a huge picture, or of
    a disk that does not answer.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        _abandoned.append(pool)
        raise
    pool.shutdown()

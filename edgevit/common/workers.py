"""Threads that read and decode, and never keep the process from ending."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from edgevit.common.errors import InputError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_THREADS_PER_CORE = 4  # far more only take memory: every thread has a stack and an arena
_numbers = count()
_abandoned: list[threading.Thread] = []


def any_abandoned() -> bool:
    """Whether threads are at work that nobody waits for: Python would wait at its end."""
    return any(thread.is_alive() for thread in _abandoned)


@contextmanager
def workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose end is waited for only when all went well.

    After an error or a signal nobody waits: a thread may be in the middle of a huge picture, or of
    a disk that does not answer.
    """
    from concurrent.futures import ThreadPoolExecutor  # every command asks for any_abandoned

    name = f"edgevit-worker-{next(_numbers)}-"
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        _abandoned.extend(one for one in threading.enumerate() if one.name.startswith(name))
        raise
    pool.shutdown()


def refuse_too_many_threads(threads: int | None) -> int | None:
    """The number itself; raises InputError for more threads than are of use on this machine."""
    limit = _THREADS_PER_CORE * (os.cpu_count() or 1)
    if threads is not None and threads > limit:
        raise InputError(
            f"{threads} threads are more than this machine can use; it has {os.cpu_count()} "
            f"processors. Give at most {limit}."
        )
    return threads

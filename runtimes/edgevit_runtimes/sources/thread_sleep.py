"""Whether a call waited for its data, or found it ready: how a full queue is told from an empty."""

from __future__ import annotations

import time
from pathlib import Path

# Nanoseconds that this thread ran, and that it was ready to run while others did.
_SCHEDULED = Path("/proc/thread-self/schedstat")


class Sleep:
    """Measures how long the calling thread slept in a block; neither ran, nor wanted to.

    On a busy machine the wall clock does not tell waiting for a camera from waiting for a core.
    """

    def __enter__(self) -> Sleep:
        self._began_ns = _awake_ns(), time.perf_counter_ns()
        self.slept_ns = 0
        return self

    def __exit__(self, *exc: object) -> None:
        awake_ns, began_ns = self._began_ns
        passed_ns = time.perf_counter_ns() - began_ns
        self.slept_ns = max(0, passed_ns - (_awake_ns() - awake_ns))


def _awake_ns() -> int:
    return time.thread_time_ns() + _delayed_ns()


def _delayed_ns() -> int:
    """How long this thread has waited for a core; 0 on a kernel that does not say."""
    try:
        return int(_SCHEDULED.read_bytes().split()[1])
    except (OSError, IndexError):
        return 0

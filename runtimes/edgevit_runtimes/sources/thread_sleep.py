"""Whether a call waited for its data, or found it ready: how a full queue is told from an empty."""

from __future__ import annotations

import time

from edgevit_runtimes.devices.scheduling import thread_delayed_ns


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
    return time.thread_time_ns() + thread_delayed_ns()

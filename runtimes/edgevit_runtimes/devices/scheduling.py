"""How long threads were ready to run while others had their core, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

_TASKS = Path("/proc/self/task")
_THIS_THREAD = Path("/proc/thread-self")


def process_delayed_s() -> float | None:
    """Of all threads of this process together; None where the kernel does not say."""
    delays = [_delayed_ns(task) for task in _TASKS.glob("*")]
    known = [delay for delay in delays if delay is not None]
    return sum(known) / 1e9 if known else None


def thread_delayed_ns() -> int:
    """Of the calling thread; 0 where the kernel does not say."""
    return _delayed_ns(_THIS_THREAD) or 0


def _delayed_ns(task: Path) -> int | None:
    """From ``schedstat``: nanoseconds that it ran, that it waited for a core, and turns."""
    try:
        return int((task / "schedstat").read_bytes().split()[1])
    except (OSError, IndexError):  # not built into this kernel, or the thread has ended
        return None

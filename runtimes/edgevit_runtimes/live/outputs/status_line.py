"""What a person at the terminal sees while a feed is answered."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgevit.common.errors import EdgevitError
from edgevit.common.progress import is_quiet

if TYPE_CHECKING:
    from edgevit_runtimes.live.observation import Observation
    from edgevit_runtimes.live.statistics import Statistics


@dataclass
class StatusLine:
    """One line that is rewritten on a terminal, elsewhere a line every ten seconds; and messages.

    All on standard error. Used by several threads.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    last_s: float = field(default_factory=time.monotonic)
    shows_progress: bool = False
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rewrites = sys.stderr.isatty()
        self.interval_s = 0.1 if self.rewrites else 10.0

    def say(self, text: str) -> None:
        with self.lock:
            start = "\r\x1b[K" if self.rewrites else ""
            print(f"{start}{_printable(text)}", file=sys.stderr, flush=True)

    def fail(self, error: EdgevitError) -> None:
        """Said now; the exit code says it again."""
        self.errors.append(str(error))
        self.say(f"error: {error}")

    def progress(self, observation: Observation, statistics: Statistics) -> None:
        now_s = time.monotonic()
        if is_quiet() or now_s - self.last_s < self.interval_s:
            return
        self.last_s = now_s
        text = _progress_text(observation, statistics)
        if not self.rewrites:
            self.say(text)
            return
        with self.lock:
            self.shows_progress = True
            print(f"\r\x1b[K{_printable(text)}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.shows_progress:
            print(file=sys.stderr)


def _progress_text(observation: Observation, statistics: Statistics) -> str:
    counts = statistics.counts()
    unsure = "unsure: " if observation.unsure else ""
    return (
        f"{unsure}{observation.summary}  |  "
        f"{statistics.recent_fps:.1f} answers a second, "
        f"{observation.latency_ns / 1e6:.1f} ms from capture, {counts['dropped']} dropped, "
        f"frame {observation.frame.number}"
    )


def _printable(text: str) -> str:
    """Labels and addresses may hold what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)

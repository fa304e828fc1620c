"""What a run has done so far, in constant memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from edgevit_runtimes.live.durations import Durations
from edgevit_runtimes.live.feed import Feed
from edgevit_runtimes.live.observation import Observation

WORK = ("capture", "decode", "resize", "inference", "drawing")  # what --bench shares out
STAGES = ("capture", "decode", "waiting", "resize", "inference", "drawing")
LATENCY = "latency"
_RECENT = 60


class Statistics:
    """Counts and durations of a feed's answers; read by other threads while it is written."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.answered = 0
        self.durations = {name: Durations() for name in (*STAGES, LATENCY)}
        self._started_s = self._last_s = time.monotonic()
        self._recent_s: deque[float] = deque(maxlen=_RECENT)
        self._lock = threading.Lock()

    def start(self) -> None:
        """The time that the run takes is counted from here."""
        self._started_s = self._last_s = time.monotonic()

    def add(self, observation: Observation) -> None:
        for name, duration_ns in observation.stages_ns().items():
            self.durations[name].add(duration_ns)
        with self._lock:
            self.answered += 1
            self._last_s = time.monotonic()
            self._recent_s.append(self._last_s)

    def add_drawing(self, duration_ns: int) -> None:
        self.durations["drawing"].add(duration_ns)

    @property
    def seconds(self) -> float:
        """From the start to the answer given last."""
        return self._last_s - self._started_s

    @property
    def fps(self) -> float:
        """Answers a second over the whole run."""
        return self.answered / self.seconds if self.seconds > 0 else 0.0

    @property
    def recent_fps(self) -> float:
        """Answers a second over the last sixty of them."""
        with self._lock:
            times = list(self._recent_s)
        elapsed = times[-1] - times[0] if len(times) > 1 else 0.0
        return (len(times) - 1) / elapsed if elapsed > 0 else 0.0

    @property
    def since_answer_s(self) -> float:
        """How old the newest answer is; before the first, how long the run has waited."""
        return time.monotonic() - self._last_s

    def counts(self) -> dict[str, int]:
        """Frames by what became of them, and reconnects."""
        counts = self.feed.counts
        return {
            "captured": counts.captured,
            "answered": self.answered,
            "dropped": self.feed.dropped,
            "skipped": counts.skipped,
            "unreadable": counts.unreadable,
            "reconnects": counts.reconnects,
        }

    def summary(self) -> dict[str, Any]:
        """Everything, for the end of the run.

        ``share``: of the time that capturing, decoding, resizing, inferring and drawing took
        together. They overlap, so a frame takes less than their sum.
        """
        figures = {name: self.durations[name].summary() for name in (*STAGES, LATENCY)}
        total_s = sum(self.durations[name].total_s for name in WORK)
        return {
            "seconds": round(self.seconds, 3),
            "fps": round(self.fps, 2),
            "frames": self.counts(),
            "capture_to_answer_ms": figures.pop(LATENCY),
            "stages_ms": figures,
            "share": {
                name: round(self.durations[name].total_s / total_s, 4) if total_s else None
                for name in WORK
            },
        }

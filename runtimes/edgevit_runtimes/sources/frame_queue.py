"""Whether frames pile up before us, told from their stamps and from whether we had to wait."""

from __future__ import annotations

from edgevit_runtimes.sources.source_clock import SourceClock

_LONGEST_INTERVAL_S = 1.0
_LATE_INTERVALS = 1.5
_WAITED = 0.25  # of a frame interval: who waited for so long found nothing queued
_PATIENCE_S = 1.0
_LATE_S = 1.0
_GAIN_S = 0.25  # by which a queue must shrink within the patience


class QueueWatch:
    """Told of every frame as it is grabbed; knows of the newest:

    lag_s: how late it is by its source's clock.
    is_behind: it is late and was not waited for, so newer ones are in a buffer behind it.
    is_hopeless: that has been so for a second, and the queue does not shrink.
    """

    def __init__(self) -> None:
        self.lag_s = 0.0
        self.is_behind = self.is_hopeless = False
        self._clock = SourceClock()
        self._stamp_s = 0.0
        self._since_s: float | None = None
        self._lag_then_s = 0.0

    def note(self, stamp_s: float, now_s: float, slept_s: float) -> None:
        """
        Args:
            stamp_s: of the frame, by its source.
            slept_s: how long getting it was waited for.
        """
        interval_s, self._stamp_s = stamp_s - self._stamp_s, stamp_s
        interval_s = min(max(interval_s, 0.0), _LONGEST_INTERVAL_S)
        self.lag_s = self._clock.lag_s(stamp_s, now_s)
        was_queued = slept_s < _WAITED * interval_s
        self.is_behind = was_queued and self.lag_s > _LATE_INTERVALS * interval_s
        self._judge(now_s)

    def _judge(self, now_s: float) -> None:
        if not self.is_behind:
            self._since_s = None
        elif self._since_s is None:
            self._since_s, self._lag_then_s = now_s, self.lag_s
        elif now_s - self._since_s > _PATIENCE_S:
            shrinks = self.lag_s < self._lag_then_s - _GAIN_S
            self.is_hopeless = self.lag_s > _LATE_S and not shrinks
            self._since_s, self._lag_then_s = now_s, self.lag_s

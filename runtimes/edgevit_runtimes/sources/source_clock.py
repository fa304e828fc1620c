"""How late frames are, by the times that their source stamps on them (PTS, RTP, X-Timestamp)."""

from __future__ import annotations

_DRIFT = 0.001  # two clocks may drift apart by this much; quartz is ten times better
_IMPLAUSIBLE_S = 30.0  # more than any buffer holds: the stamps do not keep time


class SourceClock:
    """Compares stamps with the clock of this machine.

    A camera's clock has any zero. So the frame that came soonest after its stamp was on time, and
    every other is as late as it came later. What all frames need to get here is not seen.
    """

    def __init__(self) -> None:
        self._stamp_s: float | None = None
        self._arrived_s = self._on_time_s = 0.0

    def lag_s(self, stamp_s: float | None, arrived_s: float) -> float:
        """How long a frame was under way or in buffers, beyond the fastest one; 0 if unknown.

        Args:
            stamp_s: from the source's clock. One that does not grow starts anew.
            arrived_s: when the frame was handed over, on any clock of this machine.
        """
        former_s, self._stamp_s = self._stamp_s, stamp_s
        passed_s, self._arrived_s = arrived_s - self._arrived_s, arrived_s
        if stamp_s is None:
            return 0.0
        offset_s = arrived_s - stamp_s
        restarts = former_s is None or stamp_s <= former_s
        if restarts or offset_s - self._on_time_s > _IMPLAUSIBLE_S:
            self._on_time_s = offset_s
        self._on_time_s = min(self._on_time_s + _DRIFT * passed_s, offset_s)
        return offset_s - self._on_time_s

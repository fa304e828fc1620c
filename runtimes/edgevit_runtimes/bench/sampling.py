"""Sensors read beside a measurement, from another process than the one that is measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from edgevit_runtimes.devices.sensors import Reading, Sensors

INTERVAL_S = 0.1


class Sampler:
    """Reads the sensors in a thread, again and again. A context manager.

    Args:
        root: of the recorded tree of another machine.
    """

    def __init__(self, root: Path = Path("/"), interval_s: float = INTERVAL_S) -> None:
        self.sensors = Sensors(root)
        self.interval_s = interval_s
        self._readings: list[Reading] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._ended.is_set():
            self._readings.append(self.sensors.read())
            self._ended.wait(self.interval_s)

    def between(self, began_ns: int, ended_ns: int) -> list[Reading]:
        """The readings of a window of the monotonic clock, in order."""
        return [r for r in list(self._readings) if began_ns <= r.at_ns <= ended_ns]

    def idle(self, seconds: float) -> list[Reading]:
        """Waits while nothing is measured; no wait where the machine shows no power."""
        if self.sensors.power.source is None:
            return []
        began = time.monotonic_ns()
        time.sleep(seconds)
        return self.between(began, time.monotonic_ns())

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()
        self.sensors.close()


def summary(readings: Sequence[Reading]) -> dict[str, Any]:
    """Temperatures, clocks and throttling of a window, JSON-ready; empty where nothing is shown."""
    return {
        "readings": len(readings),
        "interval_s": INTERVAL_S,
        "temperature_c": {
            zone: {"start": values[0], "most": max(values)}
            for zone, values in _series(readings, "temperatures_c").items()
        },
        "clock_mhz": {
            name: {"least": min(values), "median": median(values), "most": max(values)}
            for name, values in _series(readings, "clocks_mhz").items()
        },
        "slowed": {
            name: max(values)
            for name, values in _series(readings, "slowed").items()
            if max(values) > 0
        },
        "throttling_events": {
            name: values[-1] - values[0]
            for name, values in _series(readings, "counters").items()
            if values[-1] > values[0]
        },
        "vanished": _vanished(readings),
    }


def _series(readings: Sequence[Reading], field: str) -> dict[str, list[Any]]:
    series: dict[str, list[Any]] = {}
    for reading in readings:
        for name, value in getattr(reading, field).items():
            series.setdefault(name, []).append(value)
    return series


def _vanished(readings: Sequence[Reading]) -> list[str]:
    """Sensors that were read at first and not at the end."""
    if not readings:
        return []
    fields = ("temperatures_c", "clocks_mhz", "slowed", "counters", "rails_mw", "energy_uj")
    first, last = ({n for f in fields for n in getattr(r, f)} for r in (readings[0], readings[-1]))
    return sorted(first - last)

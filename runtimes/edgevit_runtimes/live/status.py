"""What a run is, and how it stands: the same words for the page and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edgevit.zoo.tasks import Task
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.statistics import LATENCY, Statistics

HEALTHY_S = 10.0  # a run whose newest answer is older is not well


@dataclass(frozen=True)
class About:
    """What is running, and where; nothing in it is secret.

    colours: of the classes that are drawn in colours, ``#rrggbb`` by name.
    """

    model: str
    variant: str
    runtime: str
    device: str
    source: str
    trained: bool
    has_superpixels: bool
    task: Task = "classification"
    colours: Mapping[str, str] = field(default_factory=dict)


def state(statistics: Statistics) -> str:
    """``live``, ``reconnecting`` or ``stalled``."""
    if not statistics.feed.connected:
        return "reconnecting"
    return "live" if statistics.since_answer_s < HEALTHY_S else "stalled"


def status(
    about: About, statistics: Statistics, newest: Observation | None, pixels: bool = True
) -> dict[str, Any]:
    """One JSON-ready dictionary; ``answer`` is None before the first, see its ``to_json``."""
    latency = statistics.durations[LATENCY].summary()
    return {
        **asdict(about),
        "state": state(statistics),
        "fps": round(statistics.recent_fps, 1),
        "frames": statistics.counts(),
        "capture_to_answer_ms": latency,
        "answer": newest.to_json(pixels) if newest else None,
    }

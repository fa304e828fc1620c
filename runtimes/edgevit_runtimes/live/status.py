"""What a run is, and how it stands: the same words for the page, programs and Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.statistics import LATENCY, STAGES, Statistics

_QUANTILES = {50: "0.5", 90: "0.9", 99: "0.99"}
HEALTHY_S = 10.0  # a run whose newest answer is older is not well


@dataclass(frozen=True)
class About:
    """What is running, and where; nothing in it is secret."""

    model: str
    variant: str
    runtime: str
    device: str
    source: str
    trained: bool
    has_superpixels: bool


def state(statistics: Statistics) -> str:
    """``live``, ``reconnecting`` or ``stalled``."""
    if not statistics.feed.connected:
        return "reconnecting"
    return "live" if statistics.since_answer_s < HEALTHY_S else "stalled"


def status(about: About, statistics: Statistics, newest: Observation | None) -> dict[str, Any]:
    """One JSON-ready dictionary; ``answer`` is None before the first."""
    latency = statistics.durations[LATENCY].summary()
    return {
        **asdict(about),
        "state": state(statistics),
        "fps": round(statistics.recent_fps, 1),
        "frames": statistics.counts(),
        "capture_to_answer_ms": latency,
        "answer": newest.to_json() if newest else None,
    }


def prometheus(about: About, statistics: Statistics, viewers: int) -> str:
    """The text format that Prometheus reads, version 0.0.4."""
    return "".join(f"{line}\n" for line in _metrics(about, statistics, viewers))


def _metrics(about: About, statistics: Statistics, viewers: int) -> Iterator[str]:
    facts = {name: str(value) for name, value in asdict(about).items()}
    yield from _metric("info", "gauge", "What is running.", [(facts, 1)])
    counts = statistics.counts()
    reconnects = counts.pop("reconnects")
    frames = [({"state": name}, count) for name, count in counts.items()]
    yield from _metric("frames_total", "counter", "Frames by what became of them.", frames)
    for name, kind, text, value in (
        ("reconnects_total", "counter", "Times the source came back.", reconnects),
        ("source_connected", "gauge", "1 while the source is there.", statistics.feed.connected),
        ("answers_per_second", "gauge", "Of the last sixty answers.", statistics.recent_fps),
        ("last_answer_age_seconds", "gauge", "Of the newest.", statistics.since_answer_s),
        ("viewers", "gauge", "Open pages.", viewers),
    ):
        yield from _metric(name, kind, text, [({}, value)])
    yield from _summary("stage_seconds", "Parts of a frame's way.", statistics, STAGES)
    yield from _summary("answer_latency_seconds", "Capture to answer.", statistics, (LATENCY,))


def _metric(
    name: str, kind: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    yield f"# HELP edgevit_{name} {text}"
    yield f"# TYPE edgevit_{name} {kind}"
    for labels, value in samples:
        yield _sample(name, labels, value)


def _summary(
    name: str, text: str, statistics: Statistics, stages: tuple[str, ...]
) -> Iterator[str]:
    yield f"# HELP edgevit_{name} {text}"
    yield f"# TYPE edgevit_{name} summary"
    for stage in stages:
        durations = statistics.durations[stage]
        labels = {"stage": stage}
        for percent, quantile in _QUANTILES.items():
            value = durations.percentile_ms(percent)
            seconds = float("nan") if value is None else value / 1e3
            yield _sample(name, {**labels, "quantile": quantile}, seconds)
        yield _sample(f"{name}_sum", labels, durations.total_s)
        yield _sample(f"{name}_count", labels, durations.count)


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    listed = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    shown = "NaN" if value != value else f"{value:.10g}"  # noqa: PLR0124  (NaN is not itself)
    return f"edgevit_{name}{{{listed}}} {shown}" if listed else f"edgevit_{name} {shown}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

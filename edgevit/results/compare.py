"""Two or more results side by side: ratios, with intervals that say how far they can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.images.picture_set import pictures_key, pictures_text
from edgevit.results.bench_result import BenchResult, Comparison, LatencyRatio

_RESAMPLES = 1000
_BLOCK = 25  # neighbouring inferences resemble each other: they are drawn together
_SEED = 0


@dataclass(frozen=True)
class Ratio:
    """Second over first: above 1 is more time, more memory. The interval is of 95 %."""

    value: float
    low: float
    high: float


def latency_ratio(first: BenchResult, second: BenchResult, percent: float = 50) -> Ratio:
    """Of a latency percentile.

    The interval is a bootstrap of two levels: the fresh processes that measured are drawn, then
    blocks of inferences in them. So what differs from process to process widens it; what differs
    from day to day, or between two machines of one kind, is not in it.
    """
    drawn = np.random.default_rng(_SEED)
    runs = [[np.asarray(run, np.float64) for run in r.durations_us] for r in (first, second)]
    middle = [float(np.percentile(np.concatenate(r), percent)) for r in runs]
    resampled = [_resampled(r, percent, drawn) for r in runs]
    low, high = np.percentile(resampled[1] / resampled[0], [2.5, 97.5])
    return Ratio(middle[1] / middle[0], float(low), float(high))


def _resampled(
    runs: Sequence[NDArray[np.float64]], percent: float, drawn: np.random.Generator
) -> NDArray[np.float64]:
    """The percentile of every resample."""
    blocks = [_blocks(run) for run in runs]
    figures = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        picked = drawn.integers(len(blocks), size=len(blocks))
        parts = [blocks[p][drawn.integers(len(blocks[p]), size=len(blocks[p]))] for p in picked]
        figures[i] = np.percentile(np.concatenate([part.ravel() for part in parts]), percent)
    return figures


def _blocks(run: NDArray[np.float64]) -> NDArray[np.float64]:
    """[blocks, block] of one process; a run shorter than two blocks is drawn one by one."""
    if len(run) < 2 * _BLOCK:
        return run[:, None]
    count = len(run) // _BLOCK
    return run[: count * _BLOCK].reshape(count, _BLOCK)


def compare(first: BenchResult, second: BenchResult, name: str | None = None) -> Comparison:
    """All ratios of one result to another; None where one of them has no figure.

    Args:
        name: of the first, such as its file.
    """
    p50 = latency_ratio(first, second)
    return Comparison(
        latency_p50=LatencyRatio(p50.value, (p50.low, p50.high)),
        latency_p90=_division(first, second, "latency_ms.p90"),
        latency_p99=_division(first, second, "latency_ms.p99"),
        throughput=_division(first, second, "throughput_images_per_s"),
        cold_start=_division(first, second, "cold_start_ms.total"),
        peak_memory_load=_division(first, second, "peak_memory_mib.load"),
        peak_memory_steady=_division(first, second, "peak_memory_mib.steady"),
        energy_per_inference=_division(first, second, "energy.per_inference_mj"),
        differing_conditions=tuple(differing_conditions(first, second)),
        disturbed=(first.disturbed, second.disturbed),
        result=name,
    )


def _division(first: BenchResult, second: BenchResult, path: str) -> float | None:
    below, above = figure(first, path), figure(second, path)
    return None if below is None or above is None or below == 0 else above / below


def figure(result: BenchResult, path: str) -> float | None:
    """A number of a result, such as ``latency_ms.p50``; None where it was unavailable."""
    value: float | None = attrgetter(path)(result)
    return value


def differing_conditions(first: BenchResult, second: BenchResult) -> list[str]:
    """In words: everything but the model that was not the same; a ratio is of all of it together.

    Differences of the model itself (variant, file) are what people compare, and come first.
    """
    pairs = [(name, read(first), read(second)) for name, read in _CONDITIONS.items()]
    found = [f"{name}: {_short(a)} / {_short(b)}" for name, a, b in pairs if a != b]
    return found + _differing_pictures(first, second)


def _differing_pictures(first: BenchResult, second: BenchResult) -> list[str]:
    """That the two accuracies are of different pictures, or may be: they cannot be compared."""
    a, b = first.model.accuracy, second.model.accuracy
    if a is None or b is None or pictures_key(a) == pictures_key(b):
        return []
    return [
        f"accuracy measured on: {pictures_text(a)} / {pictures_text(b)}; the two accuracies are "
        "not comparable"
    ]


def _of_machine(*path: str) -> Callable[[BenchResult], Any]:
    """A fact of the machine's own description, which may lack any of them."""

    def read(result: BenchResult) -> Any:
        value: Any = result.conditions.machine
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    return read


_CONDITIONS: dict[str, Callable[[BenchResult], Any]] = {
    "device": attrgetter("device"),
    "model": attrgetter("model.name"),
    "variant": attrgetter("model.variant"),
    "model file": attrgetter("model.file_sha256"),
    "runtime": attrgetter("conditions.runtime"),
    "superpixels": attrgetter("conditions.superpixels"),
    "threads": attrgetter("conditions.threads"),
    "batch": attrgetter("conditions.batch"),
    "edgevit": attrgetter("conditions.edgevit"),
    "Python": attrgetter("conditions.python"),
    "governor": _of_machine("governor"),
    "power mode": _of_machine("jetson", "power_mode"),
    "L4T": _of_machine("jetson", "l4t"),
    "kernel": _of_machine("kernel"),
    "environment": attrgetter("conditions.environment"),
}


def _short(value: Any) -> str:
    text = "unavailable" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:12]}..."

"""Two or more results side by side: ratios, with intervals that say how far they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.results.bench_result import device_name

_RESAMPLES = 1000
_BLOCK = 25  # neighbouring inferences resemble each other: they are drawn together
_SEED = 0


@dataclass(frozen=True)
class Ratio:
    """Second over first: above 1 is more time, more memory. The interval is of 95 %."""

    value: float
    low: float
    high: float


def latency_ratio(
    first: Mapping[str, Any], second: Mapping[str, Any], percent: float = 50
) -> Ratio:
    """Of a latency percentile.

    The interval is a bootstrap of two levels: the fresh processes that measured are drawn, then
    blocks of inferences in them. So what differs from process to process widens it; what differs
    from day to day, or between two machines of one kind, is not in it.
    """
    drawn = np.random.default_rng(_SEED)
    runs = [[np.asarray(run, np.float64) for run in r["durations_us"]] for r in (first, second)]
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


# What is compared by plain division: a name, and where it stands in a result.
_PLAIN = (
    ("throughput", ("throughput_images_per_s",)),
    ("cold start", ("cold_start_ms", "total")),
    ("peak memory, load", ("peak_memory_mib", "load")),
    ("peak memory, steady", ("peak_memory_mib", "steady")),
    ("energy per inference", ("energy", "per_inference_mj")),
)


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """All ratios of one result to another, JSON-ready; None where one of them has no figure."""
    p50 = latency_ratio(first, second)
    return {
        "latency_p50": {"ratio": p50.value, "interval_95": [p50.low, p50.high]},
        "latency_p90": _division(first, second, ("latency_ms", "p90")),
        "latency_p99": _division(first, second, ("latency_ms", "p99")),
        **{name: _division(first, second, path) for name, path in _PLAIN},
        "differing_conditions": differing_conditions(first, second),
        "disturbed": [bool(first["disturbed"]), bool(second["disturbed"])],
    }


def _division(
    first: Mapping[str, Any], second: Mapping[str, Any], path: Sequence[str]
) -> float | None:
    below, above = figure(first, path), figure(second, path)
    return None if below is None or above is None or below == 0 else above / below


def figure(result: Mapping[str, Any], path: Sequence[str]) -> float | None:
    """A number of a result; None where it was unavailable."""
    value: Any = result
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def differing_conditions(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """In words: everything but the model that was not the same; a ratio is of all of it together.

    Differences of the model itself (variant, file) are what people compare, and come first.
    """
    pairs = [
        (name, _at(first, path), _at(second, path))
        for name, path in (
            ("model", ("model", "name")),
            ("variant", ("model", "variant")),
            ("model file", ("model", "file_sha256")),
            ("runtime", ("conditions", "runtime")),
            ("superpixels", ("conditions", "superpixels")),
            ("threads", ("conditions", "threads")),
            ("batch", ("conditions", "batch")),
            ("edgevit", ("conditions", "edgevit")),
            ("Python", ("conditions", "python")),
            ("governor", ("conditions", "machine", "governor")),
            ("power mode", ("conditions", "machine", "jetson", "power_mode")),
            ("L4T", ("conditions", "machine", "jetson", "l4t")),
            ("kernel", ("conditions", "machine", "kernel")),
            ("environment", ("conditions", "environment")),
        )
    ]
    pairs.insert(0, ("device", device_name(dict(first)), device_name(dict(second))))
    return [f"{name}: {_short(a)} / {_short(b)}" for name, a, b in pairs if a != b]


def _at(result: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = result
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _short(value: Any) -> str:
    text = "unavailable" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:12]}..."

"""Whether a run can be trusted: what disturbed it, in words that stand in its result.

Every rule asks for something from outside, or for a change that is larger than the run's own noise.
Recorded runs of both kinds are in ``tests/bench/recorded_runs``; ``benchmarks/disturbance.py``
records more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from edgevit_runtimes.devices.sensors import Reading

MOVED = 0.05  # clocks and latencies that move by more than this disturb
_STOLEN = 0.01  # share of the processors' time that a hypervisor may take
_DELAYED = 0.02  # share of the time: one inference in a hundred that takes three times as long
_OTHERS_CORES = 0.2  # what other processes may use of one core, all together
_OTHERS_CORES_UNSEEN = 0.05  # where the kernel does not say whether that delayed us
_LEAST_SECONDS = 0.5  # below this, ticks of a hundredth of a second say too little
_BLOCKS = 16  # of a run, whose medians show its own noise
_LEAST_IN_BLOCK = 4
_SIGMAS = 6.0
_MEDIAN_OF_STEPS = 0.954  # median distance of two draws of a normal distribution, in its sigmas


@dataclass(frozen=True)
class Run:
    """One process that measured: its durations in ns, its own processor time, the sensors.

    steady: whether the latency stood still when the warm-up ended.
    delayed_seconds: how long its threads waited for cores that others had; None: the kernel does
        not say.
    """

    durations_ns: Sequence[int]
    seconds: float
    cpu_seconds: float
    steady: bool
    readings: Sequence[Reading]
    delayed_seconds: float | None = None


def disturbances(runs: Sequence[Run], on_gpu: bool = False) -> list[str]:
    """Every reason for which these runs may not repeat; empty for a quiet machine."""
    return [*outer_disturbances(runs, on_gpu), *_unequal(runs), *_unsettled(runs)]


def outer_disturbances(runs: Sequence[Run], on_gpu: bool = False) -> list[str]:
    """Those that the sensors show, whatever was timed: heat, clocks, other processes."""
    readings = [reading for run in runs for reading in run.readings]
    return [
        *_slowed(readings),
        *_throttling_events(runs),
        *_moved_clocks(readings, on_gpu),
        *_shared_processors(runs),
    ]


def _slowed(readings: Sequence[Reading]) -> list[str]:
    active = {name for reading in readings for name, state in reading.slowed.items() if state > 0}
    return [f"throttled: {name}" for name in sorted(active)]


def _throttling_events(runs: Sequence[Run]) -> list[str]:
    counts: dict[str, int] = {}
    for run in runs:
        if run.readings:
            first, last = run.readings[0].counters, run.readings[-1].counters
            for name in first.keys() & last.keys():
                counts[name] = counts.get(name, 0) + last[name] - first[name]
    return [f"throttling events: {name}, {n} more" for name, n in sorted(counts.items()) if n > 0]


def _moved_clocks(readings: Sequence[Reading], on_gpu: bool) -> list[str]:
    """The fastest core's clock (others may sleep), and the GPU's where that works."""
    fastest = [
        max(clocks.values())
        for clocks in ({k: v for k, v in r.clocks_mhz.items() if k != "gpu"} for r in readings)
        if clocks
    ]
    gpu = [r.clocks_mhz["gpu"] for r in readings if "gpu" in r.clocks_mhz] if on_gpu else []
    return [*_moved("processor", fastest), *_moved("GPU", gpu)]


def _moved(what: str, clocks: list[float]) -> list[str]:
    if not clocks or max(clocks) <= min(clocks) * (1 + MOVED):
        return []
    return [f"the {what}'s clock moved between {min(clocks):.0f} and {max(clocks):.0f} MHz"]


def _shared_processors(runs: Sequence[Run]) -> list[str]:
    delayed = [run.delayed_seconds for run in runs if run.delayed_seconds is not None]
    return [*_delays(runs), *_others(runs, _OTHERS_CORES if delayed else _OTHERS_CORES_UNSEEN)]


def _delays(runs: Sequence[Run]) -> list[str]:
    """What the scheduler counted: this is how others get into the tail of the latency."""
    told = [run for run in runs if run.delayed_seconds is not None]
    share = sum(run.delayed_seconds or 0.0 for run in told) / (sum(r.seconds for r in told) or 1.0)
    if share <= _DELAYED:
        return []
    return [f"other processes had its cores for {100 * share:.1f} % of the time"]


def _others(runs: Sequence[Run], most_cores: float) -> list[str]:
    seconds = busy = stolen = own = 0.0
    for run in runs:
        ticks = [r.cpu for r in run.readings if r.cpu is not None]
        if len(ticks) < 2:
            continue
        elapsed = (run.readings[-1].at_ns - run.readings[0].at_ns) / 1e9
        seconds += elapsed
        busy += ticks[-1].busy_s - ticks[0].busy_s
        stolen += ticks[-1].stolen_s - ticks[0].stolen_s
        own += run.cpu_seconds * elapsed / run.seconds
        own += ticks[-1].reader_s - ticks[0].reader_s
    if seconds < _LEAST_SECONDS:
        return []
    reasons = []
    if stolen / seconds > _STOLEN:
        reasons.append(f"the hypervisor took {stolen / seconds:.2f} of a core")
    if (busy - own) / seconds > most_cores:
        reasons.append(f"other processes used {(busy - own) / seconds:.2f} of a core")
    return reasons


def _unequal(runs: Sequence[Run]) -> list[str]:
    """Between fresh processes, and between the first and the last quarter of each."""
    reasons = []
    levels = [_level(run.durations_ns) for run in runs]
    low, high = min(levels), max(levels)
    spread = _rise(low, high)
    if spread > MOVED:
        reasons.append(f"p50 differs by {100 * spread:.0f} % between fresh processes")
    drifts = [_drift(run.durations_ns) for run in runs if _can_drift(run)]
    if drifts and max(drifts) > MOVED:
        reasons.append(f"p50 drifted by {100 * max(drifts):.0f} % within a process")
    return reasons


def _unsettled(runs: Sequence[Run]) -> list[str]:
    """A warm-up without an end matters where a drift in what was measured would not be seen."""
    if all(run.steady or _can_drift(run) for run in runs):
        return []
    return ["the latency had not settled when the warm-up ended"]


class _Level(NamedTuple):
    """A median, and by how much it would be another if it were measured again."""

    ns: float
    noise_ns: float


def _rise(low: _Level, high: _Level) -> float:
    """By what share one is above the other; 0 where noise explains it."""
    noise_ns = (low.noise_ns**2 + high.noise_ns**2) ** 0.5
    return high.ns / low.ns - 1 if high.ns - low.ns > _SIGMAS * noise_ns else 0.0


def _can_drift(run: Run) -> bool:
    return len(run.durations_ns) >= _BLOCKS * _LEAST_IN_BLOCK


def _drift(durations_ns: Sequence[int]) -> float:
    quarter = len(durations_ns) // 4
    noise_ns = _block_noise_ns(durations_ns) / (_BLOCKS / 4) ** 0.5
    ends = median(durations_ns[:quarter]), median(durations_ns[-quarter:])
    return _rise(_Level(min(ends), noise_ns), _Level(max(ends), noise_ns))


def _level(durations_ns: Sequence[int]) -> _Level:
    return _Level(median(durations_ns), _block_noise_ns(durations_ns) / _BLOCKS**0.5)


def _block_noise_ns(durations_ns: Sequence[int]) -> float:
    """Sigma of the medians of blocks, from their steps: a slow drift is not in it."""
    length = max(1, len(durations_ns) // _BLOCKS)
    blocks = [
        median(durations_ns[start : start + length])
        for start in range(0, len(durations_ns) - length + 1, length)
    ]
    steps = [abs(after - before) for before, after in pairwise(blocks)]
    return median(steps) / _MEDIAN_OF_STEPS if steps else 0.0

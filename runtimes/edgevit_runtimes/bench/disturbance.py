"""Whether a run can be trusted: what disturbed it, in words that stand in its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from edgevit_runtimes.devices.sensors import Reading

MOVED = 0.05  # clocks and latencies that move by more than this disturb
_STOLEN = 0.01  # share of the processors' time that a hypervisor may take
_OTHERS_CORES = 0.2  # what other processes may use of one core, all together
_LEAST_SECONDS = 0.5  # below this, ticks of a hundredth of a second say too little


@dataclass(frozen=True)
class Run:
    """One process that measured: its durations in ns, its own processor time, the sensors."""

    durations_ns: Sequence[int]
    seconds: float
    cpu_seconds: float
    steady: bool
    readings: Sequence[Reading]


def disturbances(runs: Sequence[Run], on_gpu: bool = False) -> list[str]:
    """Every reason for which these runs may not repeat; empty for a calm machine."""
    reasons = [*outer_disturbances(runs, on_gpu), *_unequal(runs)]
    if not all(run.steady for run in runs):
        reasons.append("the latency had not settled when the warm-up ended")
    return reasons


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
    if seconds < _LEAST_SECONDS:
        return []
    reasons = []
    if stolen / seconds > _STOLEN:
        reasons.append(f"the hypervisor took {stolen / seconds:.2f} of a core")
    if (busy - own) / seconds > _OTHERS_CORES:
        reasons.append(f"other processes used {(busy - own) / seconds:.2f} of a core")
    return reasons


def _unequal(runs: Sequence[Run]) -> list[str]:
    """Between fresh processes, and between the first and the last quarter of each."""
    reasons = []
    medians = [median(run.durations_ns) for run in runs]
    spread = max(medians) / min(medians) - 1
    if spread > MOVED:
        reasons.append(f"p50 differs by {100 * spread:.0f} % between fresh processes")
    drifts = [_drift(run.durations_ns) for run in runs if len(run.durations_ns) >= 8]
    if drifts and max(drifts) > MOVED:
        reasons.append(f"p50 drifted by {100 * max(drifts):.0f} % within a process")
    return reasons


def _drift(durations_ns: Sequence[int]) -> float:
    quarter = len(durations_ns) // 4
    ends = median(durations_ns[:quarter]), median(durations_ns[-quarter:])
    return max(ends) / min(ends) - 1

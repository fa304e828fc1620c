"""Results of ``edgevit bench`` and their comparisons, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from edgevit.common.tables import Section, Table, counted
from edgevit.results.bench_result import (
    FUNCTION_BODIES,
    BenchResult,
    Comparison,
    EnergyFigures,
    HotLatency,
    PacedLatency,
)

_PERCENTILES = "p50 / p90 / p99"


def result_sections(result: BenchResult) -> list[Section]:
    """One result: a table of its figures, and what quantization said of the model."""
    model, conditions = result.model, result.conditions
    rows = [
        *([("note", result.note, "")] if result.note else []),
        *_speed(result),
        *_on_device(result),
        *_memory(result),
        _energy(result.energy),
        *_sensors(result),
        ("model file", f"{model.file_mib:.1f} MiB", f"{model.parameters / 1e6:.2f} M params"),
        *(("DISTURBED", why, "the figures may not repeat") for why in result.disturbances),
    ]
    former = conditions.superpixels != FUNCTION_BODIES
    by_kernels = f", superpixels by {conditions.superpixels}" if former else ""
    title = " | ".join(
        (
            f"{model.name} {model.variant}",
            result.device,
            f"{counted(conditions.threads, 'thread')}, batch {conditions.batch}",
            f"{conditions.runtime}{by_kernels}",
        )
    )
    table = Table(title, ("figure", "value", "how"), rows)
    return [table, *(str(verdict) for verdict in model.verdicts)]


def _speed(result: BenchResult) -> list[tuple[str, str, str]]:
    hot, paced = result.latency_ms, result.latency_paced_ms
    start, warm = result.cold_start_ms, result.latency_ms.warmup
    settled = "steady" if warm.steady else "NOT steady"
    return [
        (
            "latency, back to back",
            latency(hot),
            f"{_PERCENTILES} of {hot.samples} samples in {len(hot.p50_by_process)} processes; "
            f"{warm.inferences} discarded, {settled}",
        ),
        (
            f"latency, camera at {paced.fps:g} fps",
            latency(paced),
            f"{_PERCENTILES} of {paced.samples} samples, {paced.late} late",
        ),
        ("throughput", f"{result.throughput_images_per_s:.1f} images/s", "back to back"),
        (
            "cold start to first answer",
            f"{start.total:.0f} ms",
            f"model opens in {start.open_model:.0f} ms; median of {start.samples}",
        ),
    ]


def _on_device(result: BenchResult) -> list[tuple[str, str, str]]:
    """What a GPU timed itself, if one computed."""
    parts = result.device_ms_p50
    if not parts:
        return []
    shown = f"{parts.copy_in:.3f} / {parts.compute:.3f} / {parts.copy_out:.3f} ms"
    return [("on the device", shown, "p50 of copy in / compute / copy out, by its own events")]


def _memory(result: BenchResult) -> list[tuple[str, str, str]]:
    memory = result.peak_memory_mib
    rows = [
        (
            "peak memory, load",
            _mib(memory.load),
            f"fresh process, no torch; PSS {_mib(memory.load_pss)}",
        ),
        (
            "peak memory, steady",
            _mib(memory.steady),
            f"of which {memory.without_model:.0f} MiB without a model; "
            f"PSS {_mib(memory.steady_pss)}",
        ),
    ]
    if memory.gpu is not None:
        rows.append(("memory of the GPU", _mib(memory.gpu), "by nvidia-smi"))
    if memory.shared_delta is not None:
        rows.append(("shared memory taken", _mib(memory.shared_delta), "MemAvailable, delta"))
    return rows


def _energy(energy: EnergyFigures) -> tuple[str, str, str]:
    each, above = energy.per_inference_mj, energy.above_idle_mj
    if each is None:
        return ("energy per inference", "unavailable", str(energy.why_not))
    without_idle = "idle unavailable" if above is None else f"{above:.2f} mJ above idle"
    power = "power unavailable" if energy.power_mw is None else f"{energy.power_mw / 1e3:.2f} W"
    how = f"{power}, {energy.covers}; {energy.source}"
    return ("energy per inference", f"{each:.2f} mJ; {without_idle}", how)


def _sensors(result: BenchResult) -> list[tuple[str, str, str]]:
    """The hottest zone and the clocks while the inferences ran."""
    during = result.during
    zones = {name: zone.most for name, zone in during.temperature_c.items()}
    hottest = max(zones, key=lambda name: zones[name], default=None)
    rows = [
        ("temperature", "unavailable", "no sensor is readable")
        if hottest is None
        else ("temperature", f"{zones[hottest]:.0f} C at most", hottest)
    ]
    clocks = during.clock_mhz
    if not clocks:
        return [*rows, ("clocks", "unavailable", "the system does not show them")]
    shown = ", ".join(f"{n} {c.median:.0f}" for n, c in sorted(clocks.items())[:6])
    rows.append(("clocks", f"{shown} MHz", "median while the inferences ran"))
    if during.vanished:
        rows.append(("sensors lost", ", ".join(during.vanished), "unreadable at the end"))
    return rows


def latency(figures: HotLatency | PacedLatency) -> str:
    """The figures of _PERCENTILES; a dash where there are too few samples for one."""
    parts = (figures.p50, figures.p90, figures.p99)
    shown = " / ".join("-" if part is None else f"{part:.2f}" for part in parts)
    return f"{shown} ms"


def _mib(value: float | None) -> str:
    return "unavailable" if value is None else f"{value:.0f} MiB"


def results_table(results: Sequence[BenchResult], names: Sequence[str]) -> Table:
    """A row for every result that is compared."""
    rows = [
        (name, f"{r.latency_ms.p50:.3f} ms", r.device, r.model.variant)
        for name, r in zip(names, results, strict=True)
    ]
    return Table("results", ("result", "p50", "device", "variant"), rows)


def comparison_table(title: str, comparison: Comparison) -> Table:
    """Ratios of one result to another, and what else was not the same."""
    return Table(title, ("figure", "ratio", ""), _ratios(comparison))


def _ratios(comparison: Comparison) -> list[tuple[str, str, str]]:
    p50 = comparison.latency_p50
    low, high = p50.interval_95
    rows = [("latency p50", f"{p50.ratio:.3f}", f"95 %: {low:.3f} to {high:.3f}")]
    for name, value in (
        ("latency p90", comparison.latency_p90),
        ("latency p99", comparison.latency_p99),
        ("throughput", comparison.throughput),
        ("cold start", comparison.cold_start),
        ("peak memory, load", comparison.peak_memory_load),
        ("peak memory, steady", comparison.peak_memory_steady),
        ("energy per inference", comparison.energy_per_inference),
    ):
        rows.append((name, "unavailable" if value is None else f"{value:.3f}", ""))
    for which, disturbed in zip(("first", "second"), comparison.disturbed, strict=True):
        if disturbed:
            rows.append(("DISTURBED", which, "measure that result again on an idle machine"))
    rows += [("differs", condition, "") for condition in comparison.differing_conditions]
    return rows

"""Results of ``edgevit bench``: their type, and how they are read, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from edgevit.common.errors import InputError
from edgevit.common.installation.install_command import upgrade_advice
from edgevit.common.result import Result
from edgevit.common.schema import cleaned, is_newer_minor, plain_json, to_plain, typed
from edgevit.common.tables import Section
from edgevit.common.untrusted import bounded
from edgevit.common.untrusted.sanitize import harmless
from edgevit.images.picture_set import PictureSet

RESULT_KIND, RESULT_SCHEMA, RESULT_MINOR = "edgevit bench", 1, 1
MOST_BYTES = 32 << 20  # two million durations; 24 times as much in memory at worst
_MAKE = "Make one with: edgevit bench --output result.json"
FUNCTION_BODIES = "function bodies"
_LEAST, _MOST = 1e-9, 1e15  # of a figure that is not zero

Figure = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
# A nanosecond to a day.
Microseconds = Annotated[float, Meta(ge=1e-3, le=86_400e6)]


class _Bounded:
    """Figures that can be divided by each other: zero, or of a size that something can have."""

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and value != 0 and not _LEAST <= abs(value) <= _MOST:
                raise ValueError(f"{each.name} is out of all bounds")


@dataclass(frozen=True)
class KnownAccuracy:
    """Accuracy, 0 to 1, as ``edgevit quantize`` measured it on so many images.

    picture_set: which images; None where an earlier edgevit quantized the bundle.
    metric: what ``top1`` is: top-1 of a classifier, else mIoU or AP50.
    """

    top1: float
    images: int | None = None
    picture_set: PictureSet | None = None
    metric: str = "top-1"


@dataclass(frozen=True)
class ModelFacts(_Bounded):
    """Which model, by name and by hash, and what is known of its accuracy.

    verdicts: what was found when the bundle was quantized, for the target that the machine is.
    macs: multiply-accumulates of one image.
    """

    name: str
    variant: str
    file_mib: Figure
    parameters: Count
    verdicts: tuple[str, ...]
    bundle: str | None = None
    bundle_sha256: str | None = None
    precision: str | None = None
    file_sha256: str | None = None
    accuracy: KnownAccuracy | None = None
    trained: bool | None = None
    weights: str | None = None
    macs: Count | None = None


@dataclass(frozen=True)
class WarmUpFacts(_Bounded):
    """Inferences that were discarded, and whether the latency was steady when they ended."""

    inferences: Count
    seconds: Figure
    steady: bool


@dataclass(frozen=True)
class HotLatency(_Bounded):
    """Milliseconds of an inference, one after the other; None where samples are too few."""

    p50: Figure
    p90: Figure | None
    p99: Figure | None
    samples: Count
    p50_by_process: tuple[Figure, ...]
    warmup: WarmUpFacts


@dataclass(frozen=True)
class PacedLatency(_Bounded):
    """Milliseconds of an inference at a camera's pace. late: frames that were not done in time."""

    p50: Figure
    p90: Figure | None
    p99: Figure | None
    samples: Count
    fps: Figure
    late: Count
    warmup: WarmUpFacts


@dataclass(frozen=True)
class ColdStart(_Bounded):
    """Milliseconds from the start of a process to its first answer: medians of ``samples``."""

    total: Figure
    open_model: Figure
    samples: Count
    python_start: Figure | None = None
    first_inference: Figure | None = None


@dataclass(frozen=True)
class PeakMemory(_Bounded):
    """MiB of a fresh process. shared_delta: by how much less the machine has available."""

    load: Figure | None
    steady: Figure | None
    load_pss: Figure | None
    steady_pss: Figure | None
    without_model: Figure
    gpu: Figure | None
    shared_delta: float | None
    steady_rss: Figure | None = None


@dataclass(frozen=True)
class EnergyFigures(_Bounded):
    """Of one inference, in millijoules; None is unavailable, for the reason in ``why_not``."""

    per_inference_mj: Figure | None
    above_idle_mj: float | None
    power_mw: Figure | None
    idle_mw: Figure | None = None
    source: str | None = None
    covers: str | None = None
    why_not: str | None = None


@dataclass(frozen=True)
class ZoneTemperature(_Bounded):
    """Degrees Celsius."""

    most: float
    start: float | None = None


@dataclass(frozen=True)
class ClockRange(_Bounded):
    """MHz while the inferences ran."""

    median: Figure
    least: Figure | None = None
    most: Figure | None = None


@dataclass(frozen=True)
class SensorFacts(_Bounded):
    """What sensors said while the inferences ran, by their names. vanished: unreadable at the end.

    slowed: what throttled, and how far. throttling_events: how many more there were at the end.
    """

    temperature_c: Mapping[str, ZoneTemperature]
    clock_mhz: Mapping[str, ClockRange]
    vanished: tuple[str, ...]
    readings: Count | None = None
    interval_s: Figure | None = None
    slowed: Mapping[str, float] = field(default_factory=dict)
    throttling_events: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class BenchConditions(_Bounded):
    """What must be the same for figures to be comparable.

    machine: as ``edgevit doctor --json`` describes it. methods: how each figure is measured.
    superpixels: by what they were found. edgevit 0.1 had ``native kernels`` for ONNX Runtime too,
    and opens no result without this field, so it stays until 0.3.
    """

    runtime: str
    threads: Count
    batch: Count
    machine: Mapping[str, Any]
    superpixels: str = FUNCTION_BODIES
    cores: tuple[int, ...] | None = None
    memory_arena: bool | None = None
    load_average_1min: Figure | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    python: str | None = None
    edgevit: str | None = None
    measured: str | None = None
    methods: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceTimes(_Bounded):
    """Milliseconds that a GPU timed itself, p50."""

    copy_in: Figure
    compute: Figure
    copy_out: Figure


@dataclass(frozen=True)
class LatencyRatio:
    """Second over first: above 1 is slower. interval_95: that of 95 %."""

    ratio: float
    interval_95: tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Ratios of one result to another; None where one of them has no figure.

    differing_conditions: in words, what else was not the same. disturbed: the first, the second.
    result: the file of the first, where that is known.
    """

    latency_p50: LatencyRatio
    latency_p90: float | None
    latency_p99: float | None
    throughput: float | None
    cold_start: float | None
    peak_memory_load: float | None
    peak_memory_steady: float | None
    energy_per_inference: float | None
    differing_conditions: tuple[str, ...]
    disturbed: tuple[bool, bool]
    result: str | None = None

    def to_dict(self) -> dict[str, Any]:
        content: dict[str, Any] = to_plain(self)
        return content


@dataclass(frozen=True)
class BenchResult(_Bounded, Result):
    """All that ``edgevit bench`` measures of one variant on one machine.

    options: the :class:`edgevit_runtimes.bench.bench_options.BenchOptions` it was measured with.
    overhead_us: of an inference, spent between the timed calls. disturbances: why the figures may
    not repeat. durations_us: of every inference, by process. repeats: the ratios to an earlier
    result. kept: the file in which a result from a device was kept.
    """

    model: ModelFacts
    latency_ms: HotLatency
    latency_paced_ms: PacedLatency
    throughput_images_per_s: Figure
    cold_start_ms: ColdStart
    peak_memory_mib: PeakMemory
    energy: EnergyFigures
    disturbed: bool
    disturbances: tuple[str, ...]
    during: SensorFacts
    durations_us: Annotated[
        tuple[Annotated[tuple[Microseconds, ...], Meta(min_length=1)], ...], Meta(min_length=1)
    ]
    options: Mapping[str, Any]
    conditions: BenchConditions
    device_ms_p50: DeviceTimes | None = None
    overhead_us: float | None = None
    repeats: Comparison | None = None
    kept: str | None = None
    schema: int = RESULT_SCHEMA
    schema_minor: int = RESULT_MINOR
    kind: str = RESULT_KIND

    @property
    def device(self) -> str:
        """The machine in words: the board, or else the processor."""
        machine = self.conditions.machine
        parts = (machine.get("name"), machine.get("processor"))
        return next((str(part) for part in parts if part), "unknown device")

    @property
    def note(self) -> str | None:
        """What is to be said before all else: that the model is untrained."""
        model = self.model
        if model.trained is not False:
            return None
        return f"{model.name} is {model.weights}: its answers mean nothing"

    def repeating(self, comparison: Comparison) -> BenchResult:
        """The same, with the ratios to an earlier result."""
        return replace(self, repeats=comparison)

    def to_dict(self) -> dict[str, Any]:
        content: dict[str, Any] = to_plain(self)
        first = ("schema", "schema_minor", "kind")
        optional = ("repeats", "kept", "device_ms_p50")
        rest = {k: v for k, v in content.items() if k not in first}
        known = {k: v for k, v in rest.items() if v is not None or k not in optional}
        return {**{key: content[key] for key in first}, **known}

    def sections(self) -> list[Section]:
        from edgevit.results.bench_tables import comparison_table, result_sections

        sections = result_sections(self)
        if self.kept is not None:
            sections.append(f"kept in {self.kept}")
        if self.repeats is not None:
            sections.append(comparison_table("this run, over the former", self.repeats))
        return sections


def read_result(path: Path) -> BenchResult:
    """A result from a file.

    Raises:
        InputError: there is no such file, or it holds no result of this version.
    """
    return result_of(read_document(path), str(path))


def read_document(path: Path) -> Any:
    """The JSON of a file that is to hold a result.

    Raises:
        InputError: it cannot be read, is larger than any result, or no JSON.
    """
    return _parsed(bounded.read_text(path, MOST_BYTES, "result of edgevit bench"), str(path))


def parse_result(text: str, source: str) -> BenchResult:
    """A result from its text, which may come from anywhere; its texts are made harmless.

    Raises:
        InputError: not JSON, or as of :func:`result_of`.
    """
    return result_of(_parsed(text, source), source)


def _parsed(text: str, source: str) -> Any:
    try:
        return plain_json(text)
    except ValueError as error:
        raise InputError(f"{source} is not JSON that can be used ({error}). {_MAKE}") from error


def result_of(content: Any, source: str) -> BenchResult:
    """The same from parsed JSON.

    Raises:
        InputError: no result of ``edgevit bench``, of a newer version, or with parts missing or of
            the wrong kind.
    """
    if not isinstance(content, dict) or content.get("kind") != RESULT_KIND:
        raise InputError(f"{source} is not a result of edgevit bench. {_MAKE}")
    if content.get("schema") != RESULT_SCHEMA:
        raise InputError(
            f"{source} has schema {harmless(repr(content.get('schema')))}; this edgevit reads "
            f"{RESULT_SCHEMA}. Measure again. {upgrade_advice()}"
        )
    try:
        is_newer_minor(content, RESULT_MINOR)
        return result_from(_with_present_names(cleaned(content)))
    except ValueError as error:
        raise InputError(f"{source} is incomplete or malformed: {error}. {_MAKE}") from error


# How ratios were called before they had a type.
_FORMER_NAMES = {
    "cold start": "cold_start",
    "peak memory, load": "peak_memory_load",
    "peak memory, steady": "peak_memory_steady",
    "energy per inference": "energy_per_inference",
}


def _with_present_names(content: dict[str, Any]) -> dict[str, Any]:
    repeats = content.get("repeats")
    if not isinstance(repeats, dict):
        return content
    renamed = {_FORMER_NAMES.get(name, name): value for name, value in repeats.items()}
    return {**content, "repeats": renamed}


def result_from(content: Mapping[str, Any]) -> BenchResult:
    """A result of our version from parsed JSON, which may hold more than we know.

    Raises:
        ValueError: a part is missing or of the wrong kind; it is named.
    """
    ours = {**content, "schema_minor": RESULT_MINOR}
    return typed(BenchResult, ours, unknown_fields=True)

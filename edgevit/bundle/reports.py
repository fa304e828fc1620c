"""What a bundle's reports must hold to be shown and judged by; they may say more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from edgevit.common.typed import from_plain


class _Report:
    """What is checked here is a part of what is there (:mod:`edgevit.common.typed`)."""

    MAY_SAY_MORE: ClassVar[bool] = True


@dataclass(frozen=True)
class _Differences(_Report):
    logits: float


@dataclass(frozen=True)
class _Parity(_Report):
    images: int
    top1_agrees: int
    max_difference: _Differences


@dataclass(frozen=True)
class _Speed(_Report):
    times_faster: float
    times_faster_quartiles: tuple[float, float]
    latency_ms_p50: float
    other_latency_ms_p50: float


@dataclass(frozen=True)
class _Layer(_Report):
    name: str
    logit_error: float
    macs_share: float
    outlier_channels: int


@dataclass(frozen=True)
class _Accuracy(_Report):
    """Of a quantized form. kept_float: layers, or tensors and the largest value of each."""

    images: int
    top1: float
    float_top1: float
    drop_points: float
    drop_points_interval_95: tuple[float, float]
    accuracy_from: str
    kept_float: tuple[str, ...] | Mapping[str, float]
    speed: _Speed | None = None


@dataclass(frozen=True)
class _Calibrated(_Report):
    """What is said of a form that was calibrated, beside its accuracy."""

    calibration: str
    smoothed: bool
    holds: bool
    max_drop_points: float
    calibration_images: int
    calibration_seed: int
    calibration_sha256: str
    layers: tuple[_Layer, ...] = ()


@dataclass(frozen=True)
class _Options(_Report):
    """How a variant was compiled and is opened."""

    provider: Literal["cpu", "cuda", "tensorrt"] = "cpu"
    allow_fallback: bool = False
    precision: str = ""
    keep_float32: str | None = None
    cuda_graph: bool = True


def check_parity(report: object, where: str) -> None:
    """Raises ValueError for a report of an export's parity gate that cannot be shown."""
    from_plain(_Parity, report, where)


def check_report(report: Mapping[str, Any], where: str) -> None:
    """Raises ValueError for a variant's report that cannot be shown; it may be empty."""
    if report:
        from_plain(_Accuracy, report, where)
    if "calibration" in report or "layers" in report:
        from_plain(_Calibrated, report, where)


def check_options(options: Mapping[str, Any], where: str) -> None:
    """Raises ValueError for options with which a variant cannot be opened."""
    from_plain(_Options, options, where)

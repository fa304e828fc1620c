"""What a manifest says of its variants: parity, accuracy after quantization, speed, options.

A report is kept as it was written, and may say more than is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from msgspec import Struct

from edgevit.common.schema import typed
from edgevit.images.picture_set import PictureSet

T = TypeVar("T")


class LogitDifference(Struct, frozen=True):
    """The largest absolute difference, by tensor; other tensors may be named too."""

    logits: float


class ParityReport(Struct, frozen=True):
    """The check that ended the export: how many of the pictures agree with torch."""

    images: int
    top1_agrees: int
    max_difference: LogitDifference


class DenseParityReport(Struct, frozen=True):
    """The same for masks and boxes. agreement: 0 to 1, of all pixels, or of all objects."""

    images: int
    agreement: float


class SpeedReport(Struct, frozen=True):
    """Against the float variant, in turn in one process: how many times faster, milliseconds."""

    times_faster: float
    times_faster_quartiles: tuple[float, float]
    latency_ms_p50: float
    other_latency_ms_p50: float


class LayerReport(Struct, frozen=True):
    """What quantizing one layer alone costs. macs_share: its part of the work, 0 to 1."""

    name: str
    logit_error: float
    macs_share: float
    outlier_channels: int


class AccuracyReport(Struct, frozen=True):
    """Of a quantized form. Accuracies are 0 to 1, drops in points of a hundred.

    metric: what ``top1`` and ``float_top1`` are: of a segmentation model its mIoU.

    kept_float: layers, or tensors and the largest value of each.
    picture_set: the pictures it was measured on; None where an earlier edgevit did not say it.
    """

    images: int
    top1: float
    float_top1: float
    drop_points: float
    drop_points_interval_95: tuple[float, float]
    accuracy_from: str
    kept_float: tuple[str, ...] | Mapping[str, float]
    speed: SpeedReport | None = None
    picture_set: PictureSet | None = None
    metric: Literal["top-1", "mIoU", "AP50"] = "top-1"


class CalibrationReport(Struct, frozen=True):
    """How a form was calibrated, and whether it holds: loses no more than it may."""

    calibration: str
    smoothed: bool
    holds: bool
    max_drop_points: float
    calibration_images: int
    calibration_seed: int
    calibration_sha256: str
    layers: tuple[LayerReport, ...] = ()


class ConfidenceReport(Struct, frozen=True):
    """By what logits are divided before the softmax, so that probabilities can be believed.

    images, picture_set: what it was fitted on. calibration_error: expected, 0 to 1, on the same
    pictures; uncalibrated_error: without it.
    """

    temperature: float
    images: int
    calibration_error: float
    uncalibrated_error: float
    picture_set: PictureSet | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"confidence.temperature is {self.temperature}, expected above 0")


class CompileOptions(Struct, frozen=True):
    """How a variant was compiled and is opened."""

    provider: Literal["cpu", "cuda", "tensorrt"] = "cpu"
    allow_fallback: bool = False
    precision: str = ""
    keep_float32: str | None = None
    cuda_graph: bool = True


def read_report(kind: type[T], report: Mapping[str, Any], where: str) -> T:
    """A report as a type.

    Raises:
        ValueError: it says too little, or something of the wrong kind; the field is named.
    """
    return typed(kind, report, unknown_fields=True, where=where)

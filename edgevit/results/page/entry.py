"""What the page shows of one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevit.images.picture_set import PictureSet
from edgevit.results.bench_result import BenchResult
from edgevit.results.page.svg import COLOURS

TOP1 = "top-1"


@dataclass(frozen=True)
class MeasuredTop1:
    """Top-1 accuracy, or what ``metric`` says, with its interval of 95 %, all 0 to 1.

    images, picture_set: how many pictures it was measured on, and which; None: not known.
    source: the file that says so, or what measured it. low, high: the accuracy itself where the
    interval is not known.
    """

    top1: float
    low: float
    high: float
    images: int | None = None
    picture_set: PictureSet | None = None
    source: str = ""
    metric: str = TOP1


@dataclass(frozen=True)
class Entry:
    """A result by the name of its file. accuracies: what is known, one for every picture set."""

    name: str
    result: BenchResult
    accuracies: tuple[MeasuredTop1, ...] = ()

    @property
    def label(self) -> str:
        model = self.result.model
        return f"{model.name} {model.variant}"

    @property
    def device(self) -> str:
        return self.result.device

    @property
    def source(self) -> str:
        """Which file this is, where it was measured and how often: ``a.json, AMD EPYC, 200 …``."""
        threads = self.result.conditions.threads
        counted = f"{threads} thread" if threads == 1 else f"{threads} threads"
        return f"{self.name}: {self.device}, {counted}, {self.samples}"

    @property
    def samples(self) -> str:
        """``200 samples in 3 processes``."""
        latency = self.result.latency_ms
        return f"{latency.samples} samples in {len(latency.p50_by_process)} processes"


def colours(entries: Sequence[Entry]) -> dict[str, str]:
    """A colour for every device."""
    devices = list(dict.fromkeys(entry.device for entry in entries))
    return {device: COLOURS[i % len(COLOURS)] for i, device in enumerate(devices)}

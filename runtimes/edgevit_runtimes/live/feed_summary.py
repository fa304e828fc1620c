"""What a feed's run came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit_runtimes.live.outputs.feed_outputs import FeedRun, Outputs

_ALWAYS = ("answered", "dropped")  # counts that are said even where they are zero
_FIGURES = ("p50", "p90", "p99", "mean")


@dataclass(frozen=True)
class FeedSummary(Result):
    """Counts and durations of a feed's run.

    statistics: as :meth:`edgevit_runtimes.live.statistics.Statistics.summary` gives them.
    errors: why outputs could not go on. saved: the video that was written.
    shows_work: whether the table tells which share of the work every stage took.
    """

    model: str
    bundle: Path
    variant: str
    trained: bool
    source: str
    statistics: Mapping[str, Any]
    errors: Sequence[str]
    saved: Mapping[str, Any] | None
    shows_work: bool

    @classmethod
    def of(cls, run: FeedRun, outputs: Outputs) -> FeedSummary:
        bundle = run.classifier.bundle
        return cls(
            model=bundle.manifest.model.name,
            bundle=bundle.path,
            variant=run.classifier.variant,
            trained=bundle.manifest.model.trained,
            source=run.source.address.name,
            statistics=run.statistics.summary(),
            errors=run.status.errors,
            saved=_saved(outputs),
            shows_work=run.outputs.bench,
        )

    def to_dict(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "model": self.model,
            "bundle": str(self.bundle),
            "variant": self.variant,
            "trained": self.trained,
            "source": self.source,
            **self.statistics,
            "errors": list(self.errors),
        }
        return content | ({"saved": dict(self.saved)} if self.saved else {})

    def sections(self) -> list[Section]:
        stages = {
            "capture to answer": self.statistics["capture_to_answer_ms"],
            **self.statistics["stages_ms"],
        }
        rows = [
            (name, *(_ms(figures[figure]) for figure in _FIGURES))
            for name, figures in stages.items()
            if figures["samples"]
        ]
        columns: tuple[str, ...] = ("ms", *_FIGURES)
        if self.shows_work:
            columns += ("share",)
            shares = self.statistics["share"]
            rows = [(*row, _percent(shares.get(row[0]))) for row in rows]
        title = f"{self.model} {self.variant} | {self.source}"
        return [Table(title, columns, rows, columns[1:]), self.line]

    @property
    def line(self) -> str:
        """The most important of it, in one line."""
        frames = self.statistics["frames"]
        counts = ", ".join(
            f"{count} {name}" for name, count in frames.items() if count or name in _ALWAYS
        )
        if left := _left(frames):
            counts += f", {left} left at the end"
        seconds = self.statistics["seconds"]
        digits = 1 if seconds >= 1 else 3
        line = f"{self.statistics['fps']:.1f} answers a second for {seconds:.{digits}f} s: {counts}"
        if self.saved:
            line += f"; {self.saved['frames']} frames in {self.saved['video']}"
        return line


def _saved(outputs: Outputs) -> dict[str, Any] | None:
    if (recorder := outputs.recorder) is None:
        return None
    presenter = outputs.presenter
    return {
        "video": str(recorder.path),
        "frames": recorder.written,
        "not_drawn": presenter.passed_over if presenter else 0,
        "fitted": recorder.fitted,
    }


def _left(frames: dict[str, int]) -> int:
    """Frames that were captured, and not come to when the run ended."""
    done = ("answered", "dropped", "skipped", "unreadable")
    return frames["captured"] - sum(frames[name] for name in done)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"

"""Results of bench and eval, read from files and drawn as one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError
from edgevit.common.result import Result
from edgevit.common.storage.files import refuse_target, resolved, write_atomically
from edgevit.common.tables import Section, counted
from edgevit.common.untrusted.sanitize import printable
from edgevit.images.picture_set import pictures_key
from edgevit.inference.accuracy import Proportion
from edgevit.results.bench_result import BenchResult, read_document, result_of
from edgevit.results.documents.fleet_document import fleet_results
from edgevit.results.documents.saved_evaluation import (
    AnySavedEvaluation,
    SavedDenseEvaluation,
    evaluation_of,
)
from edgevit.results.page.entry import TOP1, Entry, MeasuredTop1
from edgevit.results.page.html_page import page

_MOST_IMAGES = 10**9


@dataclass(frozen=True)
class ReportResult(Result):
    """The page that was written, how many results it shows, and its size in bytes."""

    path: Path
    results: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        return {"report": str(self.path), "results": self.results, "bytes": self.bytes}

    def sections(self) -> list[Section]:
        count = counted(self.results, "result")
        return [f"{self.path}: {count}, {self.bytes / 1024:.0f} KiB, no other file needed"]


def report(
    results: Sequence[Path | str],
    output: Path | str = "report.html",
    *,
    title: str = "edgevit report",
) -> ReportResult:
    """Draws results as one page: latency, memory, accuracy against latency, conditions.

    Args:
        results: files of ``edgevit bench --json`` and of ``edgevit eval --json``.

    Raises:
        InputError: a file is no result, none is of bench, or the page would replace one of them.
    """
    files, target = [Path(file) for file in results], Path(output)
    if resolved(target) in [resolved(file) for file in files]:
        raise InputError(
            f"--output {target} is one of the results, which the page would replace. "
            "Choose another name, such as report.html."
        )
    refuse_target(target)
    entries = _entries(files)
    content = printable(page(entries, title))  # a file's name may hold what no page can
    write_atomically(target, lambda aside: aside.write_text(content, encoding="utf-8"))
    return ReportResult(target, len(entries), len(content))


def _entries(files: Sequence[Path]) -> list[Entry]:
    documents: dict[str, Any] = {}
    for file in files:
        content = read_document(file)
        of_fleet = fleet_results(content)
        if of_fleet is None:
            documents[str(file)] = content
        else:
            documents |= {f"{file}: {device}": result for device, result in of_fleet.items()}
    evaluations = {name: evaluation_of(each, name) for name, each in documents.items()}
    known = {name: each for name, each in evaluations.items() if each is not None}
    entries = []
    for name, content in documents.items():
        if evaluations[name] is None:
            result = result_of(content, name)
            entries.append(Entry(Path(name).name, result, _accuracies(result, known)))
    if not entries:
        raise InputError("None of the files is a result of edgevit bench; a report needs one.")
    return entries


def _accuracies(
    result: BenchResult, evaluations: Mapping[str, AnySavedEvaluation]
) -> tuple[MeasuredTop1, ...]:
    """Of the same model file, evaluated, one a picture set; else what quantization measured."""
    found: dict[str, MeasuredTop1] = {}
    for name, evaluation in evaluations.items():
        if evaluation.file_sha256 == result.model.file_sha256:
            accuracy = _evaluated(evaluation, Path(name).name)
            found.setdefault(pictures_key(accuracy), accuracy)
    return tuple(found.values()) or _quantized(result)


def _evaluated(evaluation: AnySavedEvaluation, source: str) -> MeasuredTop1:
    if isinstance(evaluation, SavedDenseEvaluation):
        metric, share = evaluation.figure
        facts = (evaluation.images, evaluation.picture_set, source, metric)
        return MeasuredTop1(share, share, share, *facts)
    low, high = evaluation.top1.interval_95
    images = evaluation.top1.of if evaluation.images is None else evaluation.images
    return MeasuredTop1(evaluation.top1.share, low, high, images, evaluation.picture_set, source)


def _quantized(result: BenchResult) -> tuple[MeasuredTop1, ...]:
    """None where nobody measured it, or where the figures cannot be."""
    known = result.model.accuracy
    if known is None or not known.images:
        return ()
    if not 0 <= known.top1 <= 1 or not 0 < known.images < _MOST_IMAGES:
        return ()
    low = high = known.top1
    if known.metric == TOP1:
        low, high = Proportion(round(known.top1 * known.images), known.images).interval
    facts = (known.images, known.picture_set, "edgevit quantize", known.metric)
    return (MeasuredTop1(known.top1, low, high, *facts),)

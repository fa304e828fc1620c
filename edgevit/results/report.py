"""Results of bench and eval, read from files and drawn as one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from edgevit.common.errors import InputError
from edgevit.common.result import Result
from edgevit.common.schema import plain_json
from edgevit.common.storage.files import refuse_target, write_atomically
from edgevit.common.tables import Section
from edgevit.inference.accuracy import Share
from edgevit.results.bench_result import BenchResult, parse_result, read_text
from edgevit.results.charts import Entry
from edgevit.results.html_page import page

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
        size = f"{self.bytes / 1024:.0f} KiB"
        return [f"{self.path}: {self.results} results, {size}, no other file needed"]


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
    if target.resolve() in [file.resolve() for file in files]:
        raise InputError(
            f"--output {target} is one of the results, which the page would replace. "
            "Choose another name, such as report.html."
        )
    refuse_target(target)
    entries = _entries(files)
    content = page(entries, title)
    write_atomically(target, lambda aside: aside.write_text(content, encoding="utf-8"))
    return ReportResult(target, len(entries), len(content))


def _entries(files: Sequence[Path]) -> list[Entry]:
    texts = {str(file): read_text(file) for file in files}
    evaluations = {n: _evaluation(t, n) for n, t in texts.items()}
    known = [evaluation for evaluation in evaluations.values() if evaluation is not None]
    entries = []
    for name, text in texts.items():
        if evaluations[name] is None:
            result = parse_result(text, name)
            entries.append(Entry(Path(name).name, result, _accuracy(result, known)))
    if not entries:
        raise InputError("None of the files is a result of edgevit bench; a report needs one.")
    return entries


def _evaluation(text: str, source: str) -> dict[str, Any] | None:
    """What ``edgevit eval --json`` wrote, or None.

    Raises:
        InputError: it is one, with shares or counts that cannot be.
    """
    try:
        content = plain_json(text)
        share = content["top1"]
        low, high = share["interval_95"]
        top1, sha256 = share["share"], content["file_sha256"]
    except (ValueError, KeyError, TypeError):
        return None
    counts = [share[name] for name in ("right", "of") if name in share]
    shares = (low, top1, high)
    sane = all(map(_is_share, shares)) and all(map(_is_count, counts))
    if not sane or not isinstance(sha256, str):
        raise InputError(
            f"{source} is a damaged evaluation: top1 must hold shares of 0 to 1 and whole counts, "
            "and file_sha256 the hash of a model file. "
            "Make one with: edgevit eval --json BUNDLE IMAGES"
        )
    return {"file_sha256": sha256, "accuracy": {"top1": top1, "low": low, "high": high}}


def _is_share(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_IMAGES


def _accuracy(result: BenchResult, evaluations: list[dict[str, Any]]) -> dict[str, float] | None:
    """Of the same model file, evaluated; else what its bundle knows from quantization."""
    for evaluation in evaluations:
        if evaluation["file_sha256"] == result.model.file_sha256:
            accuracy: dict[str, float] = evaluation["accuracy"]
            return accuracy
    known = result.model.accuracy
    if known is None:
        return None
    top1, images = known.top1, known.images
    if not _is_share(top1) or not _is_count(images) or not images:
        return None
    low, high = Share(round(top1 * images), images).interval
    return {"top1": top1, "low": low, "high": high}

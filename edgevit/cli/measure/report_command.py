"""``edgevit report``: results of bench and eval as one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import typer

from edgevit.common.errors import InputError

if TYPE_CHECKING:
    from edgevit.results.charts import Entry

_MOST_IMAGES = 10**9


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...", help="Results of 'bench --json', and of 'eval --json'."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Its heading.")] = "edgevit report",
) -> None:
    """Draw results as one page: latency, memory, accuracy against latency, conditions."""
    from edgevit.common.files import refuse_target, write_atomically
    from edgevit.results.html_page import page

    if output.resolve() in [file.resolve() for file in files]:
        raise InputError(
            f"--output {output} is one of the results, which the page would replace. "
            "Choose another name, such as report.html."
        )
    refuse_target(output)
    entries = _entries(files)
    content = page(entries, title)
    write_atomically(output, lambda aside: aside.write_text(content, encoding="utf-8"))
    print(f"{output}: {len(entries)} results, {len(content) / 1024:.0f} KiB, no other file needed")


def _entries(files: list[Path]) -> list[Entry]:
    from edgevit.results.bench_result import parse_result, read_text
    from edgevit.results.charts import Entry

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
    from edgevit.results.bench_result import plain_json

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


def _accuracy(result: dict[str, Any], evaluations: list[dict[str, Any]]) -> dict[str, float] | None:
    """Of the same model file, evaluated; else what its bundle knows from quantization."""
    from edgevit.inference.accuracy import Share

    for evaluation in evaluations:
        if evaluation["file_sha256"] == result["model"].get("file_sha256"):
            accuracy: dict[str, float] = evaluation["accuracy"]
            return accuracy
    known = result["model"].get("accuracy")
    if not isinstance(known, dict):
        return None
    top1, images = known.get("top1"), known.get("images")
    if not _is_share(top1) or not _is_count(images) or not images:
        return None
    low, high = Share(round(top1 * images), images).interval
    return {"top1": top1, "low": low, "high": high}

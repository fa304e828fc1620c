"""What a feed's run came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from edgevit_runtimes.live.outputs.feed_outputs import FeedRun, Outputs
from edgevit.cli.options import untrained_note

if TYPE_CHECKING:
    from edgevit_runtimes.sources.source_address import Address

_ALWAYS = ("answered", "dropped")  # counts that are said even where they are zero
_FIGURES = ("p50", "p90", "p99", "mean")


def summarise(run: FeedRun, address: Address, outputs: Outputs) -> None:
    """The summary, then what went wrong, as the exit code."""
    content = content_of(run, address, outputs)
    if run.options.json:
        from edgevit.common.console import print_json

        print_json(content)
    else:
        _print(content, run)
    if note := untrained_note(run.classifier.bundle):
        run.teller.say(f"note: {note}")
    if run.teller.errors:
        raise typer.Exit(2)


def content_of(run: FeedRun, address: Address, outputs: Outputs) -> dict[str, Any]:
    bundle = run.classifier.bundle
    content: dict[str, Any] = {
        "model": bundle.manifest.model.name,
        "bundle": str(bundle.path),
        "variant": run.classifier.variant,
        "trained": bundle.manifest.model.trained,
        "source": address.name,
        **run.statistics.summary(),
        "errors": run.teller.errors,
    }
    if (recorder := outputs.recorder) is not None:
        presenter = outputs.presenter
        content["saved"] = {
            "video": str(recorder.path),
            "frames": recorder.written,
            "not_drawn": presenter.passed_over if presenter else 0,
            "fitted": recorder.fitted,
        }
    return content


def _print(content: dict[str, Any], run: FeedRun) -> None:
    from edgevit.common.console import print_table
    from edgevit_runtimes.live.outputs.json_lines import STANDARD_OUTPUT

    frames = content["frames"]
    counts = ", ".join(
        f"{count} {name}" for name, count in frames.items() if count or name in _ALWAYS
    )
    if left := _left(frames):
        counts += f", {left} left at the end"
    seconds = content["seconds"]
    digits = 1 if seconds >= 1 else 3
    line = f"{content['fps']:.1f} answers a second for {seconds:.{digits}f} s: {counts}"
    if saved := content.get("saved"):
        line += f"; {saved['frames']} frames in {saved['video']}"
    if run.options.jsonl == STANDARD_OUTPUT:  # which is for programs
        run.teller.say(line)
        return
    stages = {"capture to answer": content["capture_to_answer_ms"], **content["stages_ms"]}
    rows = [
        (name, *(_ms(figures[figure]) for figure in _FIGURES))
        for name, figures in stages.items()
        if figures["samples"]
    ]
    columns: tuple[str, ...] = ("ms", *_FIGURES)
    if run.options.bench:
        columns += ("share",)
        rows = [(*row, _percent(content["share"].get(row[0]))) for row in rows]
    title = f"{content['model']} {content['variant']} | {content['source']}"
    print_table(title, columns, rows, columns[1:])
    print(line)


def _left(frames: dict[str, int]) -> int:
    """Frames that were captured, and not come to when the run ended."""
    done = ("answered", "dropped", "skipped", "unreadable")
    return frames["captured"] - sum(frames[name] for name in done)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"

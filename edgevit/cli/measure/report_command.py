"""``edgevit report``: results of bench and eval as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import JsonOption


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...", help="Results of 'bench --json', and of 'eval --json'."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path(
        "report.html"
    ),
    title: Annotated[str, typer.Option(help="Title of the page.")] = "edgevit report",
    json: JsonOption = False,
) -> None:
    """Draw results as one page: latency, memory, accuracy against latency, conditions."""
    from edgevit.common.console import show
    from edgevit.results.report import report as write_report

    show(write_report(files, output, title=title), as_json=json)

"""Results for people (tables) and for machines (JSON); units are in the keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevit.common.files import write_atomically
from edgevit.common.sanitize import printable


def print_json(content: Any) -> None:
    """One JSON document on standard output."""
    print(_json(content))


def write_json(path: Path, content: Any) -> None:
    """One JSON document in a file, whole or not at all."""
    write_atomically(path, lambda aside: aside.write_text(f"{_json(content)}\n", encoding="utf-8"))


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, allow_nan=False)


def print_line(text: str, error: bool = False) -> None:
    """Text on standard output, or standard error; names from a bundle may stand in it."""
    print(printable(text), file=sys.stderr if error else sys.stdout)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[str] = (),
) -> None:
    """A table on standard output; columns named in ``numeric`` are aligned right.

    What stands in it may come from a bundle: no cell is markup, or anything that a terminal obeys.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(printable(title), style="bold"),
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    for column in columns:
        table.add_column(
            Text(printable(column)),
            justify="right" if column in numeric else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    # Off a terminal rich would wrap at 80 columns and break lines that people grep.
    width = None if sys.stdout.isatty() else 160
    Console(highlight=False, width=width).print(table)

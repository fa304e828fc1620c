"""Results for people (tables) and for machines (JSON); units are in the keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevit.files import write_atomically


def print_json(content: Any) -> None:
    """One JSON document on standard output."""
    print(_json(content))


def write_json(path: Path, content: Any) -> None:
    """One JSON document in a file, whole or not at all."""
    write_atomically(path, lambda aside: aside.write_text(f"{_json(content)}\n", encoding="utf-8"))


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, allow_nan=False)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[str] = (),
) -> None:
    """A table on standard output; columns named in ``numeric`` are aligned right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, style="bold"),
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    for column in columns:
        table.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # a class may be called "[red]": cells are no markup
    # Off a terminal rich would wrap at 80 columns and break lines that people grep.
    width = None if sys.stdout.isatty() else 160
    Console(highlight=False, width=width).print(table)

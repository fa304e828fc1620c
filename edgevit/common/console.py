"""Results for people (tables) and for machines (JSON); units are in the keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from edgevit.common.result import Result, Section, Table
from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.sanitize import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

_WIDTH_IN_FILES = 160


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


def show(result: Result, as_json: bool) -> None:
    """A result on standard output: as one JSON document, or as tables."""
    if as_json:
        print_json(result.to_dict())
    else:
        print_sections(result.sections())


def print_sections(sections: Iterable[Section]) -> None:
    """Tables and lines on standard output."""
    for section in sections:
        if isinstance(section, str):
            print_line(section)
        else:
            _console(sys.stdout).print(_drawn(section))


def as_text(sections: Iterable[Section]) -> str:
    """Tables and lines as plain text, without colours."""
    page = StringIO()
    console = _console(page)
    for section in sections:
        if isinstance(section, str):
            page.write(f"{printable(section)}\n")
        else:
            console.print(_drawn(section))
    return page.getvalue().rstrip("\n")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[str] = (),
) -> None:
    """A table on standard output; columns named in ``numeric`` are aligned right."""
    print_sections([Table(title, columns, rows, numeric)])


def _console(file: TextIO) -> Console:
    from rich.console import Console

    # Off a terminal rich would wrap at 80 columns and break lines that people grep.
    width = None if file.isatty() else _WIDTH_IN_FILES
    return Console(file=file, highlight=False, width=width)


def _drawn(section: Table) -> RichTable:
    """What stands in it may come from a bundle: no cell is markup, or a terminal's command."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(
        title=Text(printable(section.title), style="bold"),
        box=box.SIMPLE_HEAD,
        title_justify="left",
    )
    for column in section.columns:
        table.add_column(
            Text(printable(column)),
            justify="right" if column in section.numeric else "left",
            overflow="fold",
        )
    for row in section.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table

"""Tables and lines of text, drawn for a terminal or as plain text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from edgevit.common.untrusted.sanitize import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

_WIDTH_IN_FILES = 160


@dataclass(frozen=True)
class Table:
    """A table of texts; columns named in ``numeric`` are aligned right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[str] = ()


Section = Table | str  # a line of text stands for itself


def print_sections(sections: Iterable[Section]) -> None:
    """Tables and lines on standard output."""
    for section in sections:
        if isinstance(section, str):
            print(printable(section))
        else:
            _draw(section, _console(sys.stdout))


def as_text(sections: Iterable[Section]) -> str:
    """Tables and lines as plain text, without colours."""
    page = StringIO()
    console = _console(page)
    for section in sections:
        if isinstance(section, str):
            page.write(f"{printable(section)}\n")
        else:
            _draw(section, console)
    return page.getvalue().rstrip("\n")


def _console(file: TextIO) -> Console:
    from rich.console import Console

    # Off a terminal rich would wrap at 80 columns and break lines that people grep.
    width = None if file.isatty() else _WIDTH_IN_FILES
    return Console(file=file, highlight=False, width=width)


def _draw(section: Table, console: Console) -> None:
    """The title on a line of its own, which a narrow table does not break, and the table."""
    from rich.text import Text

    if section.title:
        console.print(Text(printable(section.title), style="bold"), soft_wrap=True)
    console.print(_drawn(section))


def _drawn(section: Table) -> RichTable:
    """What stands in it may come from a bundle: no cell is markup, or a terminal's command."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=box.SIMPLE_HEAD)
    for column in section.columns:
        table.add_column(
            Text(printable(column)),
            justify="right" if column in section.numeric else "left",
            overflow="fold",
        )
    for row in section.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table

"""Tables and lines of text, drawn for a terminal or as plain text.

Everything fits the terminal, or 100 columns elsewhere (``COLUMNS`` says otherwise), and no word of
a table is broken: where the columns have no room side by side, a row is drawn as a block of lines.
A path or a command is longer if it has to be.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from edgevit.common.installation.programs import PROGRAMS
from edgevit.common.untrusted.sanitize import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

_WIDTH_IN_FILES = 100
_GAP = 2  # between two columns
_INDENT = "  "
# What ends a line of text and is to be pasted: "Build one: edgevit compile ...".
_COMMAND = re.compile(rf"(?:^|: )((?:{PROGRAMS}|\S+ -m pip) [^.]\S.*)$")


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
    _print_on(sections, sys.stdout)


def as_text(sections: Iterable[Section]) -> str:
    """Tables and lines as plain text, without colours."""
    page = StringIO()
    _print_on(sections, page)
    return page.getvalue().rstrip("\n")


def _print_on(sections: Iterable[Section], file: TextIO) -> None:
    from rich.console import Console

    console = Console(file=file, highlight=False, width=_width(file))
    below_a_table = False
    for section in sections:
        if below_a_table:
            print(file=file)
        if isinstance(section, str):
            for line in wrapped(printable(section), console.width):
                print(line, file=file)
        else:
            _draw(section, console)
        below_a_table = isinstance(section, Table)


def _width(file: TextIO) -> int | None:
    """Columns of what is drawn; None: as many as the terminal has."""
    if file.isatty():
        return None
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) else _WIDTH_IN_FILES


def wrapped(text: str, width: int) -> list[str]:
    """A line of text as lines of at most ``width`` columns; a command at its end stays whole."""
    if len(text) <= width:
        return [text]
    found = _COMMAND.search(text)
    sentence = text[: found.start(1)].rstrip() if found else text
    lines = textwrap.wrap(
        sentence,
        width,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [*lines, f"{_INDENT}{found[1]}"] if found else lines


def _draw(section: Table, console: Console) -> None:
    """The title, and the table or its rows as blocks."""
    _print_title(section.title, console)
    natural, fewest = _measured(section)
    room = console.width - _GAP * (len(natural) - 1)
    if sum(fewest) <= room or len(natural) == 2:
        console.print(_side_by_side(section, _fitted(natural, fewest, room)))
    else:
        for row in section.rows:
            _print_title(row[0], console)
            console.print(_block(section.columns[1:], row[1:]))


def _print_title(title: str, console: Console) -> None:
    """On lines of its own, where a path in it stays whole."""
    from rich.text import Text

    for line in wrapped(printable(title), console.width) if title else ():
        console.print(Text(line, style="bold"), soft_wrap=True)


def _measured(section: Table) -> tuple[list[int], list[int]]:
    """Of every column: the width of its longest cell, and of its longest word."""
    columns = list(zip(section.columns, *section.rows, strict=True))
    natural = [max(_cells(printable(cell)) for cell in column) for column in columns]
    words = [[word for cell in column for word in printable(cell).split()] for column in columns]
    return natural, [max(map(_cells, each), default=0) for each in words]


def _cells(text: str) -> int:
    """Columns of a terminal that a text takes; letters of some scripts take two."""
    from rich.cells import cell_len

    return cell_len(text)


def _fitted(natural: Sequence[int], fewest: Sequence[int], room: int) -> list[int]:
    """Widths that fit: the widest columns are narrowed to one width, none below its longest word.

    In a table of two columns, whose words may be too long, the first one stays whole where that
    leaves the second one half of the room, and the second one takes what is left.
    """
    if sum(fewest) > room:
        first = natural[0] if natural[0] <= room // 2 else fewest[0]
        return [first, max(room - first, 1)]
    widest = max(natural, default=0)
    widths = list(natural)
    while sum(widths) > room:
        widest -= 1
        widths = [
            max(least, min(width, widest)) for width, least in zip(natural, fewest, strict=True)
        ]
    return widths


def _side_by_side(section: Table, widths: Sequence[int]) -> RichTable:
    """What stands in it may come from a bundle: no cell is markup, or a terminal's command."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    headed = any(section.columns)
    table = RichTable(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        show_header=headed,
        padding=(0, 1, 0, 0),
    )
    for column, width in zip(section.columns, widths, strict=True):
        table.add_column(
            Text(printable(column)),
            justify="right" if column in section.numeric else "left",
            overflow="fold",
            width=width,
        )
    for row in section.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _block(columns: Sequence[str], row: Sequence[str]) -> RichTable:
    """A row as lines, each with the name of its column."""
    from rich.table import Table as RichTable
    from rich.text import Text

    names = [f"{_INDENT}{printable(name)}" for name in columns]
    block = RichTable.grid(padding=(0, _GAP, 0, 0))
    block.add_column(width=max(map(_cells, names)))
    block.add_column(overflow="fold")
    for name, cell in zip(names, row, strict=True):
        if cell:
            block.add_row(Text(name), Text(printable(cell)))
    return block

"""Tables and lines of text, drawn for a terminal or as plain text.

A table fits the terminal, or 100 columns elsewhere (``COLUMNS`` says otherwise), and no word, path
or command in it is broken: where the columns have no room side by side, a row is drawn as a block
of lines, and what is longer than a line is a long line. A line of text is broken between words on a
terminal, and elsewhere it is one line, which grep finds.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from itertools import zip_longest
from typing import TYPE_CHECKING, TextIO

from msgspec import Struct

from edgevit.common.installation.programs import PROGRAMS
from edgevit.common.untrusted.sanitize import printable

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_IN_FILES = 100
_GAP = 2  # between two columns
_INDENT = "  "
# What is to be copied is never broken: a command in quotes or at the end, as in "Build one: edgevit
# compile ...", and a cell that is a path, with spaces in it or not.
_PIECE = re.compile(
    rf"""\S*'{PROGRAMS}\ [^']*'\S* | (?:^|(?<=:\ ))(?:{PROGRAMS}|\S+\ -m\ pip)\ [^.]\S.*$ | \S+""",
    re.VERBOSE,
)
_PATH = re.compile(r"(?:~|\.{0,2})/[^:,;]*")


class Table(Struct, frozen=True):
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


def counted(number: int, noun: str) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class _Page(Struct, frozen=True):
    """Where lines go: ``console`` has colours and is None off a terminal, which needs no rich."""

    file: TextIO
    width: int
    console: Console | None = None

    def line(self, text: str, style: str = "") -> None:
        """One line, however long; what stands in it is no markup."""
        if self.console is None:
            print(text, file=self.file)
            return
        from rich.text import Text

        self.console.print(Text(text, style=style), soft_wrap=True)


def _page_on(file: TextIO) -> _Page:
    if file.isatty() or os.environ.get("FORCE_COLOR"):
        from rich.console import Console

        width = None if file.isatty() else _width_in_file()  # None: as the terminal has
        console = Console(file=file, highlight=False, width=width)
        return _Page(file, console.width, console)
    return _Page(file, _width_in_file())


def _width_in_file() -> int:
    """Columns of what is drawn off a terminal."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) else _WIDTH_IN_FILES


def _print_on(sections: Iterable[Section], file: TextIO) -> None:
    page = _page_on(file)
    below_a_table = False
    for section in sections:
        if below_a_table:
            page.line("")
        if isinstance(section, str):
            _print_text(section, page)
        else:
            _draw(section, page)
        below_a_table = isinstance(section, Table)


def wrapped(text: str, width: int, indent: str = _INDENT) -> list[str]:
    """A text as lines of at most ``width`` columns, and longer ones for longer commands and paths.

    Args:
        indent: of all lines but the first.
    """
    if _cells(text) <= width:
        return [text]
    lines: list[str] = []
    for piece in _pieces(text):
        if lines and _cells(lines[-1]) + 1 + _cells(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(f"{indent}{piece}" if lines else piece)
    return lines


def _pieces(text: str) -> list[str]:
    """What stays whole: words, paths and commands."""
    return [text] if _PATH.fullmatch(text) else _PIECE.findall(text)


def _cells(text: str) -> int:
    """Columns of a terminal that a text takes; letters of some scripts take two."""
    if text.isascii() and text.isprintable():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _print_text(text: str, page: _Page, style: str = "") -> None:
    """What stands in it may come from a bundle: it is no markup, and no terminal's command."""
    lines = printable(text).split("\n")
    if page.file.isatty():
        lines = [part for line in lines for part in wrapped(line, page.width)]
    for line in lines:
        page.line(line, style)


def _draw(section: Table, page: _Page) -> None:
    """The title, and the table or its rows as blocks."""
    if section.title:
        _print_text(section.title, page, style="bold")
    table = Table(
        section.title,
        _in_a_line(section.columns),
        [_in_a_line(row) for row in section.rows],
        _in_a_line(section.numeric),
    )
    widths = _fitted(table, page.width)
    if widths is None:
        _draw_blocks(table, page)
    else:
        _draw_side_by_side(table, widths, page)


def _in_a_line(cells: Sequence[str]) -> list[str]:
    return [printable(cell).replace("\n", " ").replace("\t", " ") for cell in cells]


def _fitted(table: Table, width: int) -> list[int] | None:
    """Columns' widths that fit, none below what stays whole in it; None: they do not fit.

    The widest columns are narrowed to one width. In a table of two columns the second one takes
    what the first one leaves, if that is half of the width: a long path stands in few of its rows.
    """
    columns = list(zip(table.columns, *table.rows, strict=True))
    widths = [max(map(_cells, column)) for column in columns]
    fewest = [
        max((_cells(piece) for cell in column for piece in _pieces(cell)), default=0)
        for column in columns
    ]
    room = width - _GAP * (len(columns) - 1)
    if sum(fewest) > room:
        has_half = len(columns) == 2 and widths[0] <= room // 2
        return [widths[0], room - widths[0]] if has_half else None
    widest = max(widths, default=0)
    while sum(widths) > room:
        widest -= 1
        widths = [max(least, min(each, widest)) for each, least in zip(widths, fewest, strict=True)]
    return widths


def _draw_side_by_side(table: Table, widths: Sequence[int], page: _Page) -> None:
    on_the_right = [name in table.numeric for name in table.columns]
    if any(table.columns):
        for line in _lines(table.columns, widths, on_the_right):
            page.line(line, style="bold")
        page.line("─" * (sum(widths) + _GAP * (len(widths) - 1)))
    for row in table.rows:
        for line in _lines(row, widths, on_the_right):
            page.line(line)


def _lines(
    row: Sequence[str], widths: Sequence[int], on_the_right: Sequence[bool]
) -> Iterator[str]:
    """A row, which takes as many lines as the highest of its cells."""
    cells = [wrapped(cell, width, indent="") for cell, width in zip(row, widths, strict=True)]
    for beside in zip_longest(*cells, fillvalue=""):
        aligned = map(_padded, beside, widths, on_the_right)
        yield (" " * _GAP).join(aligned).rstrip()


def _padded(text: str, width: int, on_the_right: bool) -> str:
    missing = " " * (width - _cells(text))
    return f"{missing}{text}" if on_the_right else f"{text}{missing}"


def _draw_blocks(table: Table, page: _Page) -> None:
    """Each row as its first cell, and below it the others with the names of their columns."""
    names = [f"{_INDENT}{name}" for name in table.columns[1:]]
    name_width = max(map(_cells, names))
    widths = (name_width, max(page.width - name_width - _GAP, 1))
    for first, *others in table.rows:
        _print_text(first, page, style="bold")
        for cells in zip(names, others, strict=True):
            for line in _lines(cells, widths, (False, False)) if cells[1] else ():
                page.line(line)

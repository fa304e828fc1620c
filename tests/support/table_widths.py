"""Whether what a command printed fits the columns it has, without a broken word."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from unittest import mock

from edgevit.common.installation.programs import PROGRAMS
from edgevit.common.tables import Section, Table, as_text

_COMMAND = re.compile(rf"(?:^|\s|'){PROGRAMS} \S")


def assert_fits(sections: Sequence[Section]) -> None:
    """Its tables, at the 100 columns of a file and at the 80 of a small terminal."""
    for width in (100, 80):
        for table in (each for each in sections if isinstance(each, Table)):
            untitled = Table("", table.columns, table.rows, table.numeric)
            with mock.patch.dict(os.environ, {"COLUMNS": str(width)}):
                text = as_text([untitled])
            assert_lines_fit(text, width)
            assert_no_word_is_broken(text, table)


def assert_lines_fit(text: str, width: int) -> None:
    """Lines are as short as that; one is longer only for a path or a command in it."""
    for line in text.splitlines():
        assert len(line) <= width or _is_command(line) or _has_long_word(line, width), line


def assert_no_word_is_broken(text: str, table: Table) -> None:
    """Every word of a cell is found as it is.

    Of a row that is drawn as a block, the name of the first column is not shown.
    """
    shown = set(text.split())
    for cell in (*table.columns[1:], *(cell for row in table.rows for cell in row)):
        broken = [word for word in cell.split() if word not in shown]
        assert not broken, (broken, text)


def _is_command(line: str) -> bool:
    return _COMMAND.search(line) is not None


def _has_long_word(line: str, width: int) -> bool:
    """A path that is longer than what is left of a line."""
    return max(map(len, line.split())) > width // 2

"""Results for people (tables) and for machines (JSON); units are in the keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from edgevit.common.result import Result
from edgevit.common.storage.files import cannot_write, write_atomically
from edgevit.common.tables import Table, print_sections
from edgevit.common.untrusted.sanitize import printable


def print_json(content: Any) -> None:
    """One JSON document on standard output."""
    print(_json(content))


def write_json(path: Path, content: Any) -> None:
    """One JSON document in a file, whole or not at all."""
    write_atomically(path, lambda aside: aside.write_text(f"{_json(content)}\n", encoding="utf-8"))


def write_lines(path: Path | None, documents: Iterable[Any]) -> int:
    """JSON documents, a line each, as they come; gives their number.

    Args:
        path: a file, which is replaced by the first line; None: standard output.

    Raises:
        InputError: the file cannot be written to.
    """
    count = 0
    with ExitStack() as stack:
        output: IO[str] = sys.stdout
        for count, document in enumerate(documents, 1):
            line = json.dumps(document, allow_nan=False)
            try:
                if path is not None and count == 1:
                    output = stack.enter_context(path.open("w", encoding="utf-8"))
                print(line, file=output, flush=True)
            except OSError as error:
                if path is None:
                    raise
                raise cannot_write(path, error) from error
    return count


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, allow_nan=False)


def print_line(text: str, error: bool = False) -> None:
    """Text on standard output, or standard error; names from a bundle may stand in it."""
    print(printable(text), file=sys.stderr if error else sys.stdout)


def show(result: Result, as_json: bool, output: Path | None = None) -> None:
    """A result on standard output, as one JSON document or as tables; and as JSON in a file."""
    if output is not None:
        write_json(output, result.to_dict())
    if as_json:
        print_json(result.to_dict())
    else:
        print_sections(result.sections())


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[str] = (),
) -> None:
    """A table on standard output; columns named in ``numeric`` are aligned right."""
    print_sections([Table(title, columns, rows, numeric)])

"""What a workflow returns: one document for programs, tables for people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table of texts; columns named in ``numeric`` are aligned right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[str] = ()


Section = Table | str  # a line of text stands for itself


class Result(ABC):
    """A typed result. ``print(result)`` shows what the command line shows."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and texts: what ``--json`` prints."""

    @abstractmethod
    def sections(self) -> list[Section]:
        """Tables and lines in the order in which a person reads them."""

    def __str__(self) -> str:
        from edgevit.common.console import as_text

        return as_text(self.sections())

"""What a workflow returns: one document for programs, tables for people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from edgevit.common.tables import Section, as_text


class Result(ABC):
    """A typed result. ``print(result)`` shows what the command line shows."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and texts: what ``--json`` prints."""

    @abstractmethod
    def sections(self) -> list[Section]:
        """Tables and lines in the order in which a person reads them."""

    def __str__(self) -> str:
        return as_text(self.sections())

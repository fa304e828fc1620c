"""What a workflow returns: one document for programs, tables for people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgevit.common.tables import Section, Table, as_text


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


@dataclass(frozen=True)
class PlannedWork(Result):
    """What ``--dry-run`` says: everything was checked, and this would be done.

    facts: what stands for what, in the words of the command's options.
    """

    command: str
    facts: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        return {"dry_run": True, "command": self.command, **self.facts}

    def sections(self) -> list[Section]:
        title = f"edgevit {self.command} would do this; nothing was done"
        words = {name.replace("_", " "): said for name, said in self.facts.items()}
        return [Table(title, ("", ""), list(words.items()))]

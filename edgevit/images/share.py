"""A process's share of work that several do together, such as those that torchrun starts."""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


class Share(Protocol):
    """rank: of this process, 0 to count - 1."""

    @property
    def rank(self) -> int: ...
    @property
    def count(self) -> int: ...

    def gathered(self, items: list[T]) -> list[T]:
        """The items of all processes; all of them must call it."""
        ...


class _Everything:
    """The share of a process that works alone."""

    rank, count = 0, 1

    def gathered(self, items: list[T]) -> list[T]:
        return items


EVERYTHING: Share = _Everything()

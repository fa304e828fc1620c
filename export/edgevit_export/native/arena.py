"""Where the buffers of a plan lie in its arena: those that are never alive at once share memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(frozen=True)
class Lifetime:
    """A buffer of ``size`` bytes is used by the operations ``first`` to ``last``, inclusive."""

    size: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


def aligned(size: int) -> int:
    """The next multiple of the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def allocate(lifetimes: Sequence[Lifetime]) -> tuple[list[int], int]:
    """(the address of every buffer, bytes of the arena). First fit, the largest buffer first.

    Behind every buffer 64 bytes stay free: rows are read and written in whole vectors.
    """
    room = [aligned(lifetime.size) + ALIGNMENT for lifetime in lifetimes]
    addresses: dict[int, int] = {}
    for i in sorted(range(len(lifetimes)), key=lambda i: (-room[i], lifetimes[i].first)):
        taken = sorted(
            (address, address + room[j])
            for j, address in addresses.items()
            if lifetimes[j].meets(lifetimes[i])
        )
        addresses[i] = _first_gap(taken, room[i])
    ends = [addresses[i] + room[i] for i in addresses]
    return [addresses[i] for i in range(len(lifetimes))], max(ends, default=0)


def _first_gap(taken: Sequence[tuple[int, int]], size: int) -> int:
    free = 0
    for start, end in taken:
        if start - free >= size:
            break
        free = max(free, end)
    return free

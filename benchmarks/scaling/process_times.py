"""Processor time of a process and of all that it started, which other work on the machine leaves
as it is."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def tree_seconds(root: int | None = None) -> float:
    """Of a process (default: this one), its children that live, and theirs; user and system."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        process = int(stat.parent.name)
        parents[process] = int(fields[1])
        seconds[process] = (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
    top = os.getpid() if root is None else root
    return sum(seconds[process] for process in seconds if _is_below(process, top, parents))


def _is_below(process: int, top: int, parents: dict[int, int]) -> bool:
    while process not in (top, 0):
        process = parents.get(process, 0)
    return process == top

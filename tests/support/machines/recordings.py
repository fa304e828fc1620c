"""Recorded devices as trees that the real code reads; see tests/devices/README.md."""

from __future__ import annotations

from pathlib import Path

from edgevit_runtimes.devices import record
from support.processes import ROOT

FOLDER = ROOT / "tests" / "devices"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))


def tree_of(name: str, folder: Path) -> Path:
    """Unpacks a recording below ``folder``, with the code that unpacks a person's."""
    root = folder / name
    root.mkdir()
    record.unpack((FOLDER / f"{name}.txt").read_text(), root)
    return root

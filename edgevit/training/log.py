"""The log of a run: one JSON line an epoch, and a picture of its curves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.bounded import read_text

LOG_FILE = "log.jsonl"
CURVES_FILE = "curves.png"
_MOST_BYTES = 64 << 20


def append(run: Path, entry: Mapping[str, object]) -> None:
    """Adds an epoch's line."""
    with (run / LOG_FILE).open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")


def keep_epochs(run: Path, epochs: int) -> None:
    """Drops lines that a run wrote after the state it is resumed from."""
    log = run / LOG_FILE
    if log.is_file():
        lines = read_text(log, _MOST_BYTES, "log").splitlines(keepends=True)[:epochs]
        write_atomically(log, lambda aside: aside.write_text("".join(lines), encoding="utf-8"))

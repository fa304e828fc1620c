"""Runs that were begun on a device and whose results are not here yet; and where those are kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.schema import plain_json, typed
from edgevit.common.storage.cache import state_folder
from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.bounded import read_text

_MOST_BYTES = 1 << 20
BENCH = "bench"


@dataclass(frozen=True)
class PendingRun:
    """run: its name, sixteen hexadecimal digits. host, folder: of the device.

    work: what is done; only a bench can be picked up again.
    timeout_s: who follows it gives up after so long; None: without a limit.
    """

    run: str
    host: str
    folder: str
    model: str
    began: str
    work: str = BENCH
    timeout_s: float | None = None

    @property
    def file(self) -> Path:
        return _folder() / f"{self.run}.json"

    @property
    def pick_up(self) -> str:
        """The line to type when the connection is back."""
        if self.work != BENCH:
            return f"The {self.work} goes on there. To see how it ended, give the command again."
        return f"The run goes on there. Pick it up with: edgevit bench --resume {self.run}"

    @property
    def result_file(self) -> Path:
        """A name of our own making: nothing that the device says is part of a path."""
        host = "".join(c if c.isalnum() else "-" for c in self.host)
        began = self.began.replace(":", "").replace("+0000", "Z")
        return state_folder() / "results" / f"{self.model}-{host}-{began}-{self.run[:4]}.json"

    def keep(self) -> None:
        text = json.dumps(asdict(self), indent=2)
        write_atomically(self.file, lambda aside: aside.write_text(text, encoding="utf-8"))

    def drop(self) -> None:
        self.file.unlink(missing_ok=True)


def read_pending(run: str) -> PendingRun:
    """
    Raises:
        InputError: no such run was begun from here, or what is known of it is damaged.
    """
    known = [file.stem for file in sorted(_folder().glob("*.json"))]
    if run not in known:
        listed = f"Under way: {', '.join(known)}." if known else "None is under way."
        raise InputError(f"No run {run[:40]!r} was begun from here. {listed}")
    file = _folder() / f"{run}.json"
    try:
        return typed(PendingRun, plain_json(read_text(file, _MOST_BYTES, "run under way")))
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}). Delete it, and measure again.") from error


def _folder() -> Path:
    return state_folder() / "runs"

"""Answers as JSON, a line each, whole lines only."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO

from edgevit.errors import EdgevitError
from edgevit.files import cannot_write
from edgevit_runtimes.live.observation import Observation

STANDARD_OUTPUT = Path("-")


class JsonLines:
    """Writes to a file, or to standard output for ``-``. A context manager.

    Raises:
        InputError: the place cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._end = 0
        self._file: IO[bytes] | None
        try:
            if path == STANDARD_OUTPUT:
                self._file = sys.stdout.buffer
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise cannot_write(path, error) from error

    def write(self, observation: Observation, counts: dict[str, int]) -> None:
        """Appends a line; after an error nothing more is written.

        Raises:
            EdgevitError: the disk is full, or nobody reads any more; the last line is whole.
        """
        if self._file is None:
            return
        content = {**observation.to_json(), "frames": counts}
        line = json.dumps(content, allow_nan=False).encode() + b"\n"
        try:
            self._append(line)
        except OSError as error:
            self._cut_off_torn_line()
            self._file = None
            raise EdgevitError(str(cannot_write(self.path, error))) from error

    def _append(self, line: bytes) -> None:
        assert self._file is not None
        rest = memoryview(line)
        while rest:  # a disk that is nearly full takes a part
            rest = rest[self._file.write(rest) :]
        self._file.flush()
        self._end += len(line)

    def _cut_off_torn_line(self) -> None:
        if self.path != STANDARD_OUTPUT and self._file is not None:
            self._file.truncate(self._end)
            self._file.close()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None and self.path != STANDARD_OUTPUT:
            self._file.close()

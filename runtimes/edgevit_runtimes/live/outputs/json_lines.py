"""Answers as JSON, a line each, whole lines only."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO

from edgevit.common.errors import EdgevitError
from edgevit.common.storage.files import cannot_write
from edgevit_runtimes.live.observation import Observation

STANDARD_OUTPUT = Path("-")


class JsonLines:
    """Writes to a file, or to standard output for ``-``. A context manager.

    What the file held is replaced by the first line; a run that fails before it leaves it alone.

    Raises:
        InputError: the place cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._end = 0
        self._is_new = False
        self._file: IO[bytes] | None
        try:
            if path == STANDARD_OUTPUT:
                self._file = sys.stdout.buffer
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._is_new = not path.exists()
                self._file = path.open("ab", buffering=0)
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
            if not self._end:
                self._cut(0)
            self._append(line)
        except OSError as error:
            self._cut(self._end)
            self.close()
            raise EdgevitError(str(cannot_write(self.path, error))) from error

    def _append(self, line: bytes) -> None:
        assert self._file is not None
        rest = memoryview(line)
        while rest:  # a disk that is nearly full takes a part
            rest = rest[self._file.write(rest) :]
        self._file.flush()
        self._end += len(line)

    def _cut(self, size_bytes: int) -> None:
        """Of a file; a device or a pipe has no size."""
        if self.path.is_file() and self._file is not None and self.path != STANDARD_OUTPUT:
            self._file.truncate(size_bytes)

    def close(self) -> None:
        if self._file is not None and self.path != STANDARD_OUTPUT:
            self._file.close()
        self._file = None

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        wrote_nothing = self._file is not None and not self._end
        if wrote_nothing and kind is None:
            self._cut(0)
        self.close()
        if wrote_nothing and kind is not None and self._is_new:
            self.path.unlink(missing_ok=True)

"""A file that arrives on standard input, of a size that was said before."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edgevit.common.errors import DeviceError

_CHUNK_BYTES = 1 << 20


class Readable(Protocol):
    """Standard input, or what a command says."""

    def read(self, most_bytes: int, /) -> bytes: ...


def receive_file(stream: Readable, file: Path, size: int) -> None:
    """Writes so many bytes of a stream to a file.

    Raises:
        DeviceError: the stream ends before. OSError: the disk is full.
    """
    with file.open("wb") as target:
        while size:
            chunk = stream.read(min(size, _CHUNK_BYTES))
            if not chunk:
                raise DeviceError(f"{file.name} arrived incomplete. Send it again.")
            target.write(chunk)
            size -= len(chunk)

"""What travels between the workstation and the agent on a device: JSON lines behind a marker.

Login shells print greetings; whatever is not behind the marker is not ours and is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Protocol

from edgevit.common.errors import DeviceError

MARK = b"edgevit: "
_LONGEST_LINE = 64 << 20  # a result with every duration is the longest
# A run of three days says every few seconds that it goes on; pip's progress is a few hundred lines.
_MOST_LINES = 100_000
_MOST_BYTES = 256 << 20


def send(content: dict[str, Any], stream: IO[bytes]) -> None:
    stream.write(MARK + json.dumps(content).encode() + b"\n")
    stream.flush()


class Lines(Protocol):
    """What is read line by line: a file, or a command under way."""

    def readline(self, most_bytes: int, /) -> bytes: ...


def messages(stream: Lines, host: str) -> Iterator[dict[str, Any]]:
    """Every message of a stream, in order.

    Raises:
        DeviceError: a line behind the marker is no message; or a line is too long, or there is
            more of them than any run has to say.
    """
    size = 0
    for _ in range(_MOST_LINES):
        line = stream.readline(_LONGEST_LINE + 1)
        if not line:
            return
        size += len(line)
        if size > _MOST_BYTES:
            raise DeviceError(f"{host} sent more than {_MOST_BYTES >> 20} MiB; no more is read.")
        if len(line) > _LONGEST_LINE:
            raise DeviceError(f"{host} sent a line of more than {_LONGEST_LINE >> 20} MiB.")
        if line.startswith(MARK):
            yield _parsed(line[len(MARK) :], host)
    raise DeviceError(f"{host} sent more than {_MOST_LINES} lines; no more are read.")


def _parsed(text: bytes, host: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DeviceError(f"{host} sent what is no message of edgevit ({error}).") from error
    if not isinstance(content, dict):
        raise DeviceError(f"{host} sent what is no message of edgevit.")
    return content


def code_digest() -> str:
    """Of the code that measures: the same on both sides, or figures cannot be compared."""
    import edgevit_runtimes
    from edgevit.common import version

    digest = sha256()
    packages = (Path(version.__file__).parents[1], Path(str(edgevit_runtimes.__file__)).parent)
    for root in packages:
        for file in sorted(root.rglob("*.py")):
            digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]

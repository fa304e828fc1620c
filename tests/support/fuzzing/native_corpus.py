"""Minimised inputs of the native engine: one changed number of one of the smallest files each.

    python -m support.fuzzing.native_corpus > tests/native/native_corpus.txt

Tries telling values in every number of header and operation, and keeps, for every operation, the
first file of each outcome, and of each number the first other value that is accepted. A line is
``SEED OFFSET VALUE OUTCOME``: of the seed, the byte that a u32 is written to, the value, and what
becomes of it: ``runs``, or the reason for which it is refused.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgevit.common.errors import EdgevitError
from edgevit_runtimes.backends.native.native_library import NativeModel
from support.fuzzing.native_seeds import seeds

RUNS = "runs"
_HEADER, _RECORD = 64, 128
_HEADER_FIELDS = range(8, _HEADER, 4)
_SIZE, _CHECKSUM = range(16, 24), range(24, 28)
_NUMBER = re.compile(r"[0-9]+")
_MOST_ARENA = 1 << 22  # larger ones only take time
_TELLING = (0, 1, 2, 3, 5, 63, 64, 255, 4096, 1 << 24, 0x7FFFFFFC, 0x80000000, 0x7FC00000)
_TELLING += (0xFFFFFFC0, 0xFFFFFFFF)


@dataclass(frozen=True)
class Entry:
    """A changed file. ``outcome``: :data:`RUNS`, or a part of the engine's message."""

    seed: str
    offset: int
    value: int
    outcome: str

    def __str__(self) -> str:
        return f"{self.seed} {self.offset} {self.value:#x} {self.outcome}"

    @classmethod
    def parsed(cls, line: str) -> Entry:
        seed, offset, value, outcome = line.split(" ", 3)
        return cls(seed, int(offset), int(value, 16), outcome)

    def content(self, seed: bytes) -> bytes:
        """The file, its length and checksum set right."""
        changed = bytearray(seed)
        struct.pack_into("<I", changed, self.offset, self.value)
        struct.pack_into("<I", changed, 24, zlib.crc32(bytes(changed[_HEADER:])))
        return bytes(changed)


def outcome_of(content: bytes) -> str:
    """Opens a file, and answers a grey picture with it if it is opened."""
    try:
        model = NativeModel(content)
    except EdgevitError as error:
        return str(error).removeprefix("The native engine cannot open the model: ")
    facts = model.info
    if facts.arena_bytes <= _MOST_ARENA and facts.height * facts.width <= 1 << 20:
        picture = np.full((facts.height, facts.width, 3), 77, np.uint8)
        logits = np.empty(facts.classes, np.float32)
        superpixels = np.empty((facts.map_rows, facts.map_columns), np.int32)
        wanted = superpixels.ctypes.data if superpixels.size else 0
        model.run(picture.ctypes.data, logits.ctypes.data, wanted)
    model.close()
    return RUNS


def corpus() -> Iterator[Entry]:
    """The header is the same in all seeds, so it is changed in the first alone."""
    first = _HEADER_FIELDS
    for name, seed in seeds().items():
        known: set[tuple[str, int]] = set()
        for entry in _changes(name, seed, first):
            key = (_NUMBER.sub("N", entry.outcome), entry.offset if entry.outcome == RUNS else -1)
            if key not in known:
                known.add(key)
                yield entry
        first = range(0)


def _changes(name: str, seed: bytes, header: range) -> Iterator[Entry]:
    for offset in (*header, *range(_HEADER, _HEADER + _RECORD, 4)):
        if offset in _SIZE or offset in _CHECKSUM:
            continue
        (former,) = struct.unpack_from("<I", seed, offset)
        for value in dict.fromkeys((*_TELLING, (former + 1) % 2**32, (former - 1) % 2**32)):
            if value != former:
                changed = Entry(name, offset, value, "").content(seed)
                yield Entry(name, offset, value, outcome_of(changed))


if __name__ == "__main__":
    print(*corpus(), sep="\n")

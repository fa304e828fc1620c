"""Whether a JPEG is whole, and how large it says that it is.

OpenCV fills the missing rest of a cut file with grey, silently.
"""

from __future__ import annotations

import re
from typing import NamedTuple

START_OF_IMAGE = b"\xff\xd8"
MOST_SEGMENTS = 20_000  # a picture has tens, with large notes hundreds
_END_OF_IMAGE = 0xD9
_START_OF_SCAN = 0xDA
_WITHIN_SCANS = frozenset({0xC4, _START_OF_SCAN, 0xDB, 0xDC, 0xDD, 0xFE})  # tables, comments
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # stuffed zeros and restarts are data


def is_whole(data: bytes) -> bool:
    """Whether the end marker is reached.

    What follows it (a motion photo's video, say) is not looked at.
    """
    extent = EndFinder().find(data)
    return extent is not None and extent.whole


def size_px(data: bytes) -> tuple[int, int] | None:
    """Width and height that the frame header claims; None where there is none.

    Nothing is decoded, so a few bytes that claim a large picture cost nothing.
    """
    position = len(START_OF_IMAGE)
    while marker := _NEXT_MARKER.search(data, position):
        code, after = data[marker.start() + 1], marker.end()
        if code in _FRAME_HEADERS:
            height, width = data[after + 3 : after + 5], data[after + 5 : after + 7]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        if code in (_START_OF_SCAN, _END_OF_IMAGE):
            return None
        position = after + max(2, int.from_bytes(data[after : after + 2], "big"))
    return None


class Extent(NamedTuple):
    """Where a JPEG ends in a stream of bytes, and whether by its end marker."""

    end: int
    whole: bool


class EndFinder:
    """Finds how far a JPEG reaches while its bytes come in; no byte is looked at twice.

    Walks the segments (ITU-T T.81, annex B), so that a thumbnail's end is not taken for its own.
    Where the next one starts before the end marker, it was cut; one of countless segments is none.
    What looks like a segment that no encoder writes among the picture's data is damage: its
    "length" would hide the pictures behind.
    """

    def __init__(self) -> None:
        self._position = len(START_OF_IMAGE)
        self._segments = 0
        self._in_scans = False

    def find(self, data: bytes | bytearray) -> Extent | None:
        """The extent of the JPEG that ``data`` starts with; None if its end is not there.

        Args:
            data: what was given the last time, and what came since.
        """
        while marker := _NEXT_MARKER.search(data, self._position):
            self._position = marker.start()
            code, after = data[marker.start() + 1], marker.end()
            self._segments += 1
            if code == _END_OF_IMAGE:
                return Extent(after, True)
            if code == START_OF_IMAGE[1] or self._segments > MOST_SEGMENTS:
                return Extent(marker.start(), False)
            if self._in_scans and code not in _WITHIN_SCANS:
                self._position = after
                continue
            if len(data) < after + 2:
                return None
            length = int.from_bytes(data[after : after + 2], "big")
            self._position = after + max(2, length)
            self._in_scans = self._in_scans or code == _START_OF_SCAN
        self._position = max(self._position, len(data) - 1)  # the last byte may begin a marker
        return None

"""Whether a JPEG is whole. OpenCV fills the missing rest of a cut file with grey, silently."""

from __future__ import annotations

import re

START_OF_IMAGE = b"\xff\xd8"
_END_OF_IMAGE = 0xD9
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # stuffed zeros and restarts are data


def is_whole(data: bytes) -> bool:
    """Walks the segments (ITU-T T.81, annex B) and says whether the end marker is reached.

    What follows the end marker (a motion photo's video, say) is not looked at.
    """
    position = len(START_OF_IMAGE)
    while marker := _NEXT_MARKER.search(data, position):
        code, after = data[marker.start() + 1], marker.end()
        if code == _END_OF_IMAGE:
            return True
        length = int.from_bytes(data[after : after + 2], "big")
        position = after + max(2, length)
    return False

"""A clip of moving objects, for tests of feeds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

FRAMES = 16
HIDDEN = range(6, 9)  # frames in which the red one is not there
RED, BLUE = (210, 30, 30), (30, 30, 210)


@pytest.fixture(scope="session")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red and a blue rectangle that pass each other."""
    clip = tmp_path_factory.mktemp("moving") / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (192, 128))
    for number in range(FRAMES):
        frame = np.full((128, 192, 3), 128, np.uint8)
        if number not in HIDDEN:
            left = 10 + 4 * number
            frame[16:56, left : left + 40] = RED
        left = 140 - 8 * number
        frame[72:112, left : left + 40] = BLUE
        writer.write(frame[..., ::-1])
    writer.release()
    return clip

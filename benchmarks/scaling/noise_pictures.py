"""Pictures whose decoding costs what that of photographs of this size costs, made at once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def smoothed_noise(folder: Path, count: int) -> Path:
    """JPEGs of 160 x 160 pixels, as a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(folder.name))
    for number in range(count):
        noise = rng.integers(0, 256, (20, 20, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.resize(noise, (160, 160)))
    return folder

"""Pictures as arrays and as files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgevit.images.image_io import Image


def write_png(path: Path, picture: np.ndarray) -> Path:
    """Writes an RGB (or greyscale, or RGBA) array of 8 or 16 bits."""
    code = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(picture.shape[-1])
    coded = cv2.cvtColor(picture, code) if picture.ndim == 3 and code is not None else picture
    assert cv2.imwrite(str(path), coded)
    return path


def crops(photos: list[Image], count: int, seed: int) -> list[Image]:
    """Views of real photographs."""
    rng = np.random.default_rng(seed)
    views = []
    for i in range(count):
        photo = photos[i % len(photos)]
        height, width = photo.shape[:2]
        side = int(rng.integers(120, min(height, width)))
        y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
        views.append(cv2.resize(photo[y : y + side, x : x + side], (160, 160)))
    return views

"""Pictures of coloured rectangles, with a label for every pixel."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

COLOURS = np.array([[40, 60, 90], [210, 60, 50], [70, 190, 80]], np.uint8)


def write_labelled(folder: Path, count: int, seed: int = 0, void: int | None = None) -> Path:
    """``images`` and ``labels`` of ``count`` pictures, 48x64: background 0, rectangles 1 and 2."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for number in range(count):
        labels = np.zeros((48, 64), np.uint8)
        for label in (1, 2):
            y, x = rng.integers(0, 24), rng.integers(0, 32)
            labels[y : y + 22, x : x + 30] = label
        picture = COLOURS[labels] + rng.integers(0, 12, (48, 64, 3)).astype(np.uint8)
        if void is not None:
            labels[:2] = void
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture[:, :, ::-1])
        cv2.imwrite(str(folder / "labels" / f"{number}.png"), labels)
    return folder

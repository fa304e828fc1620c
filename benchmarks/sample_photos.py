"""Writes eight photographs that scikit-image ships (public domain or CC0) into a folder as PNG.

python benchmarks/sample_photos.py out/photos
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

NAMES = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "retina",
    "rocket",
)


def write_photos(folder: Path) -> list[Path]:
    """Greyscale ones stay greyscale files."""
    import skimage.data

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in NAMES:
        picture = getattr(skimage.data, name)()
        if picture.ndim == 3:
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        file = folder / f"{name}.png"
        if not cv2.imwrite(str(file), picture):
            raise OSError(f"cannot write {file}")
        files.append(file)
    return files


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print("\n".join(map(str, write_photos(Path(sys.argv[1])))))

"""Changes pictures at random and decodes them: an answer or one clear error, and little memory.

    PYTHONPATH=tests python -m support.pictures.fuzz --seconds 60 --seed 1

prints how many were read and refused, the slowest, and the most memory that the process held.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from edgevit.common.errors import InputError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from support.pictures.files import saved

_EXTREMES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\xff\xff\xff\x7f", b"\0\0\1\0")
_HEAD_BYTES = 400  # where sizes and offsets stand: changed more often
_MOST_MIB = 2048


@dataclass
class Found:
    """outcomes: how many were read, and refused. slowest_s: of one picture."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    @property
    def peak_mib(self) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def seeds(photo: Image) -> list[tuple[str, bytes]]:
    """Whole pictures of every format, with and without alpha."""
    kinds = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "JPEG2000", "TIFF", "BMP", "PPM")
    clear = np.dstack([photo, photo[..., 0]])
    return [
        *((kind, saved(photo, kind)) for kind in kinds),
        *((f"{kind} with alpha", saved(clear, kind)) for kind in ("PNG", "WEBP", "TIFF", "AVIF")),
        ("progressive JPEG", saved(photo, "JPEG", progressive=True)),
        ("lossless WEBP", saved(photo, "WEBP", lossless=True)),
        ("TIFF with LZW", saved(photo, "TIFF", compression="tiff_lzw")),
    ]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """With bytes changed, set to extremes, taken out or repeated."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        reach = len(changed) if rng.random() < 0.4 else min(len(changed), _HEAD_BYTES)
        place, length = int(rng.integers(max(1, reach))), int(rng.integers(1, 50))
        kind = rng.choice(["byte", "extreme", "cut", "repeat"], p=[0.5, 0.2, 0.1, 0.2])
        if kind == "byte":
            changed[place : place + 1] = bytes([rng.integers(256)])
        elif kind == "extreme":
            changed[place : place + 4] = _EXTREMES[rng.integers(len(_EXTREMES))]
        elif kind == "cut":
            del changed[place : place + length]
        else:
            changed[place:place] = changed[place : place + length]
    return bytes(changed)


def try_one(data: bytes, source: str, found: Found) -> None:
    """Counts it; anything but a picture or an InputError is not caught."""
    started = time.perf_counter()
    try:
        picture = image_io.decode(data, source)
        assert (picture.dtype, picture.ndim) == (np.uint8, 3)
        found.outcomes["read"] += 1
    except InputError:
        found.outcomes["refused"] += 1
    found.slowest_s = max(found.slowest_s, time.perf_counter() - started)
    assert found.peak_mib < _MOST_MIB, f"{source}: {found.peak_mib} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    pictures = seeds(rng.integers(0, 256, (12, 10, 3), np.uint8).repeat(4, 0).repeat(4, 1))
    found, end = Found(), time.monotonic() + options.seconds
    while time.monotonic() < end:
        name, data = pictures[rng.integers(len(pictures))]
        try_one(mutated(data, rng), name, found)
    print(
        f"{found.outcomes.total()} pictures: {found.outcomes['read']} read, "
        f"{found.outcomes['refused']} refused, slowest {found.slowest_s:.2f} s, "
        f"peak {found.peak_mib} MiB"
    )


if __name__ == "__main__":
    main()

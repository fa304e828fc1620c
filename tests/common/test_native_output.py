"""What C libraries print on standard error does not flood a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from edgevit.images.image_io import Image
from support import environment
from support.cameras import jpeg


def damaged(data: bytes, seed: int) -> bytes:
    """A whole JPEG whose compressed data are wrong, about which libjpeg complains."""
    bad = bytearray(data)
    for i in range(3000 + 13 * seed, len(bad) - 100, 977):
        if 0xFF not in bad[i - 1 : i + 1]:
            bad[i] = 0x11
    return bytes(bad)


def test_a_feed_of_damaged_frames(photos: list[Image], tmp_path: Path) -> None:
    """537 lines in one feed."""
    stream = tmp_path / "frames.mjpeg"
    good = jpeg(photos[0])
    stream.write_bytes(b"".join(damaged(good, seed) for seed in range(30)))
    with stream.open("rb") as file:
        ended = subprocess.run(
            [sys.executable, "-m", "edgevit", "run", "-", "--json"],
            stdin=file,
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["frames"]["answered"] == 30
    assert "Corrupt JPEG data" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 6

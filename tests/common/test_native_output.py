"""What C libraries print neither floods a terminal nor gets into results."""

from __future__ import annotations

import json
from pathlib import Path

from edgevit.images.image_io import Image
from support import begin, python
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
    with stream.open("rb") as file, begin("run", "-", "--json", stdin=file) as run:
        out, err = run.communicate()
    assert run.returncode == 0, err
    assert json.loads(out)["frames"]["answered"] == 30
    assert "Corrupt JPEG data" not in err
    assert len(err.splitlines()) <= 6


def test_what_a_library_prints_is_no_part_of_the_results() -> None:
    """TensorRT's parser prints warnings on standard output, in the middle of ``--json``."""
    code = """
import ctypes
from edgevit.common.untrusted.native_output import native_output_on_stderr
library = ctypes.CDLL(None)
library.printf(b"before\\n")
with native_output_on_stderr():
    library.printf(b"warning\\n")
print("after")
"""
    ended = python("-c", code)
    assert (ended.out, ended.err, ended.code) == ("before\nafter\n", "warning\n", 0)

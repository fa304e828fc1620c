"""What C libraries print on standard error is said once (fault 22 found in use)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgevit.images.image_io import Image
from edgevit_runtimes.live.native_messages import said_once
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
    """22: 537 lines in one feed."""
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
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("note: Corrupt JPEG data")
    assert "more messages of libraries" in lines[-1]
    assert len(lines) <= 6


def test_kinds_are_told_apart_and_made_harmless(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with said_once(said.append):
        for i in range(5):
            os.write(2, f"{i} bytes too many\n".encode())
        os.write(2, b"\x1b]0;renamed\x07 your terminal")
    os.write(2, b"afterwards\n")
    assert said == [
        "note: 0 bytes too many",
        "note: ]0;renamed your terminal",
        "note: 4 more messages of libraries like these",
    ]
    assert capfd.readouterr().err == "afterwards\n"


def test_what_python_writes_goes_where_it_went() -> None:
    code = """
import os, sys
from edgevit_runtimes.live.native_messages import said_once
before = sys.stderr
with said_once(lambda line: print("said", line, file=sys.stderr)):
    print("ours\\x1b[K", file=sys.stderr)
    os.write(2, b"theirs\\n")
assert sys.stderr is before
print("after", file=sys.stderr)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert sorted(ended.stderr.splitlines()) == ["after", "ours\x1b[K", "said note: theirs"]

"""Cameras for tests: a clip, MJPEG over HTTP and RTSP servers in processes that can be killed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from edgevit.images.image_io import Image
from support import ROOT, environment
from support.needs import SYSTEM_PYTHON

CLIP_FRAMES = 60


def write_clip(path: Path, photo: Image, frames: int = CLIP_FRAMES) -> Path:
    """320 x 240, 30 fps: a view that moves over a photograph; by its suffix, an MP4 or an AVI.

    An AVI can be read from its beginning on, without seeking.
    """
    code = "mp4v" if path.suffix == ".mp4" else "MJPG"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 30, (320, 240))
    assert writer.isOpened()
    for i in range(frames):
        view = photo[i : i + 240, 2 * i : 2 * i + 320]
        writer.write(cv2.cvtColor(view, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def jpeg(picture: Image, quality: int = 90) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> Image:
    """A picture of one colour, (width, height)."""
    return np.full((size[1], size[0], 3), colour, np.uint8)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def mjpeg_camera(clip: Path, port: int, *options: object) -> Iterator[subprocess.Popen[str]]:
    """``benchmarks/cameras/mjpeg_server.py`` until the block ends; it may be killed before."""
    script = ROOT / "benchmarks" / "cameras" / "mjpeg_server.py"
    with _server([sys.executable, script, clip, "--port", port, *options]) as process:
        yield process


@contextmanager
def rtsp_camera(jpegs: Path, port: int, *options: object) -> Iterator[subprocess.Popen[str]]:
    """``benchmarks/cameras/rtsp_server.py`` until the block ends; it may be killed before."""
    script = ROOT / "benchmarks" / "cameras" / "rtsp_server.py"
    pattern = jpegs / "%05d.jpg"
    with _server([SYSTEM_PYTHON, script, pattern, "--port", port, *options]) as process:
        yield process


@contextmanager
def _server(command: list[object]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    try:
        assert process.stdout is not None
        assert "://" in process.stdout.readline(), "it says when it listens"
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: object, what: str, seconds: float = 60.0) -> None:
    """Polls a function until it is true; the limit is for what hangs, not for what is slow."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)

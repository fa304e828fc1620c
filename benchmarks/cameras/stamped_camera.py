"""A camera in this process whose frames say their number, so that their true age is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from edgevit.images.image_io import Image

_BLOCK_PX, _BITS = 32, 16


def stamped(number: int) -> Image:
    """Blocks of black and white, a bit each, which compression leaves; uint8 RGB [128, 128, 3]."""
    picture = np.empty((4 * _BLOCK_PX, 4 * _BLOCK_PX, 3), np.uint8)
    for bit in range(_BITS):
        y, x = bit // 4 * _BLOCK_PX, bit % 4 * _BLOCK_PX
        picture[y : y + _BLOCK_PX, x : x + _BLOCK_PX] = 255 * (number >> bit & 1)
    return picture


def number_in(picture: Image) -> int:
    half = _BLOCK_PX // 2
    middles = ((b // 4 * _BLOCK_PX + half, b % 4 * _BLOCK_PX + half) for b in range(_BITS))
    return sum(int(picture[middle].mean() > 127) << bit for bit, middle in enumerate(middles))


class StampedCamera(ThreadingHTTPServer):
    """MJPEG over HTTP at a pace; every frame is padded to ``frame_bytes``, as large ones are.

    sent_s: when each frame was due, by its number, on the clock of ``perf_counter``.
    """

    daemon_threads = True

    def __init__(self, fps: float, frame_bytes: int) -> None:
        self.sent_s: dict[int, float] = {}
        super().__init__(("127.0.0.1", 0), self._handler(fps, frame_bytes))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def _handler(self, fps: float, frame_bytes: int) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    self._play()
                except ConnectionError:
                    return

            def _play(self) -> None:
                began_s = time.perf_counter()
                for number in range(1 << _BITS):
                    due_s = began_s + number / fps
                    time.sleep(max(0.0, due_s - time.perf_counter()))
                    camera.sent_s[number] = due_s
                    head = f"--frame\r\nX-Timestamp: {due_s:.6f}\r\n\r\n"
                    self.wfile.write(head.encode() + padded_jpeg(number, frame_bytes))

            def log_message(self, *arguments: object) -> None:
                """Quiet."""

        return Handler


def padded_jpeg(number: int, size_bytes: int) -> bytes:
    data = cv2.imencode(".jpg", stamped(number))[1].tobytes()
    comment = b"\xff\xfe\xff\xff" + bytes(65533)
    count = max(0, size_bytes - len(data)) // len(comment)
    return data[:2] + count * comment + data[2:]


@contextmanager
def stamped_camera(fps: float, frame_bytes: int) -> Iterator[StampedCamera]:
    with StampedCamera(fps, frame_bytes) as camera:
        threading.Thread(target=camera.serve_forever, daemon=True).start()
        try:
            yield camera
        finally:
            camera.shutdown()

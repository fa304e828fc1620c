"""A camera on loopback: plays a video as MJPEG over HTTP, at its pace, to anybody, for ever.

    python benchmarks/cameras/mjpeg_server.py clip.mp4 --port 8090 --fps 30

Prints its address when it listens. ``--password USER:PASSWORD`` asks for it (basic).
"""

from __future__ import annotations

import argparse
import base64
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

_PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"


def jpegs_of(video: str, limit: int, width: int | None) -> list[bytes]:
    """The first frames of a video, each as a JPEG."""
    capture = cv2.VideoCapture(video)
    jpegs: list[bytes] = []
    while len(jpegs) < limit and capture.grab():
        _, frame = capture.retrieve()
        if width:
            height = round(frame.shape[0] * width / frame.shape[1])
            frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC)
        jpegs.append(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    if not jpegs:
        raise SystemExit(f"{video} cannot be read")
    return jpegs


def handler_of(jpegs: list[bytes], fps: float, password: str | None) -> type:
    """Sends the frame that is due; a client that does not keep up misses some."""
    wanted = password and "Basic " + base64.b64encode(password.encode()).decode()
    started = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if wanted and self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                self._play()
            except ConnectionError:
                return

        def _play(self) -> None:
            number = int((time.monotonic() - started) * fps)
            while True:
                number = max(number + 1, int((time.monotonic() - started) * fps))
                time.sleep(max(0.0, started + number / fps - time.monotonic()))
                jpeg = jpegs[number % len(jpegs)]
                self.wfile.write(_PART % (len(jpeg), jpeg))

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--width", type=int)
    parser.add_argument("--password")
    options = parser.parse_args()
    jpegs = jpegs_of(options.video, options.frames, options.width)
    handler = handler_of(jpegs, options.fps, options.password)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

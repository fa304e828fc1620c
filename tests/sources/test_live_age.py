"""Answers are about what is newest, and say how old it is (faults 1 and 16 found in use)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from time import perf_counter_ns, sleep, time

import cv2
import numpy as np
import pytest
from stamped_camera import number_in, stamped

from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit_runtimes.live.feed import Feed
from edgevit_runtimes.sources import opencv_source
from edgevit_runtimes.sources.capture_request import CaptureRequest, Orientation
from edgevit_runtimes.sources.frame import Decode, FallenBehindError
from edgevit_runtimes.sources.frame_queue import QueueWatch
from edgevit_runtimes.sources.jpeg_stream import JpegSource, JpegSplitter
from edgevit_runtimes.sources.open_source import open_source
from edgevit_runtimes.sources.opencv_source import OpenCvSource
from edgevit_runtimes.sources.source_address import parse
from edgevit_runtimes.sources.source_clock import SourceClock
from edgevit_runtimes.sources.thread_sleep import Sleep
from support import environment
from support.cameras import free_port, jpeg, plain, rtsp_camera, wait_for
from support.needs import needs_rtsp_server


class CountingCamera(ThreadingTCPServer):
    """MJPEG over HTTP, ten times as much as the network's buffers hold; ``sent`` counts frames."""

    daemon_threads = True
    padding = b"\xff\xfe\xff\xff" + bytes(65533)  # a comment

    def __init__(self) -> None:
        self.sent = 0
        super().__init__(("127.0.0.1", 0), self._handler())

    def _handler(self) -> type[StreamRequestHandler]:
        camera = self

        class Sending(StreamRequestHandler):
            def handle(self) -> None:
                self.rfile.readline()
                kind = b"multipart/x-mixed-replace; boundary=frame"
                self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n")
                try:
                    self._send()
                except ConnectionError:
                    return

            def _send(self) -> None:
                while True:
                    data = jpeg(stamped(camera.sent))
                    padded = data[:2] + 16 * camera.padding + data[2:]
                    self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + padded)
                    camera.sent += 1
                    sleep(0.005)

        return Sending

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


@contextmanager
def counting_camera() -> Iterator[CountingCamera]:
    with CountingCamera() as camera:
        threading.Thread(target=camera.serve_forever, daemon=True).start()
        yield camera
        camera.shutdown()


def test_a_camera_is_emptied_while_a_frame_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was queued behind a slow decoder was answered in its turn, seconds old."""
    decoding, go_on, real = threading.Event(), threading.Event(), image_io.decode
    decoded: list[int] = []

    def decode_when_told(data: bytes, source: str) -> Image:
        decoding.set()
        assert go_on.wait(60)
        picture = real(data, source)
        decoded.append(number_in(picture))
        return picture

    monkeypatch.setattr(image_io, "decode", decode_when_told)
    with counting_camera() as camera:
        address = parse([camera.address])
        with Feed(lambda: open_source(address, CaptureRequest()), Orientation()) as feed:
            frames = iter(feed)
            threading.Thread(target=go_on_after_100, args=(camera, decoding, go_on)).start()
            next(frames)
            wait_for(lambda: len(decoded) > 1, "the next frame")
            assert decoded[1] - decoded[0] >= 90, "all that came meanwhile was passed over"
            assert feed.dropped >= 90


def go_on_after_100(
    camera: CountingCamera, decoding: threading.Event, go_on: threading.Event
) -> None:
    assert decoding.wait(60)
    before = camera.sent
    try:
        wait_for(lambda: camera.sent > before + 100, "a camera that nobody holds up", 60)
    finally:
        go_on.set()


class StallingCapture:
    """A ``cv2.VideoCapture`` whose conversion takes two seconds, once."""

    def __init__(self, *arguments: object) -> None:
        self._capture = cv2_capture(*arguments)
        self._converted = 0

    def retrieve(self) -> tuple[bool, Image]:
        self._converted += 1
        if self._converted == 5:
            sleep(2.0)
        return self._capture.retrieve()

    def __getattr__(self, name: str) -> object:
        return getattr(self._capture, name)


cv2_capture = cv2.VideoCapture


@needs_rtsp_server
def test_what_an_rtsp_camera_queued_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by its own time stamps; two seconds are 60 frames."""
    for number in range(300):
        (tmp_path / f"{number:05d}.jpg").write_bytes(jpeg(stamped(number)))
    monkeypatch.setattr(opencv_source.cv2, "VideoCapture", StallingCapture)
    port = free_port()
    with rtsp_camera(tmp_path, port):
        address = parse([f"rtsp://127.0.0.1:{port}/camera"])
        with Feed(lambda: open_source(address, CaptureRequest()), Orientation()) as feed:
            frames = iter(feed)
            numbers = [number_in(next(frames).picture) for _ in range(12)]
            outdated = feed.counts.outdated
    assert numbers == sorted(numbers)
    assert outdated > 20, numbers
    assert max(np.diff(numbers)) > 20, numbers


class LateSource:
    """One frame, two seconds late by its own clock."""

    name, live, fps, expected, lag_s, is_behind = "late", True, None, None, 2.0, False

    def grab(self) -> bool:
        sleep(0.01)
        return True

    def retrieve(self) -> Decode:
        return lambda: plain((1, 2, 3))

    def close(self) -> None: ...


def test_how_late_a_frame_comes_counts_as_its_age() -> None:
    """Latency was counted from the grab, whatever the source's clock said."""
    with Feed(LateSource, Orientation(), say=print) as feed:
        frame = next(iter(feed))
    assert perf_counter_ns() - frame.captured_ns >= 2e9
    assert time() - frame.captured_unix_s >= 2


def test_frames_that_are_always_late_are_still_answered() -> None:
    """Where newer ones always seem to wait, an old frame is better than none."""
    source = LateSource()
    source.is_behind = True
    with Feed(lambda: source, Orientation(), say=print) as feed:
        numbers = [frame.number for frame, _ in zip(feed, range(3), strict=False)]
    assert numbers == sorted(set(numbers))
    assert feed.counts.outdated > 0


class TestSourceClock:
    def lags(self, stamped_and_arrived: list[tuple[float | None, float]]) -> list[float]:
        clock = SourceClock()
        return [round(clock.lag_s(stamp, arrived), 2) for stamp, arrived in stamped_and_arrived]

    def test_a_queue_that_grows(self) -> None:
        late = [(i / 30, 500 + i / 15) for i in range(31)]
        assert self.lags(late)[::10] == [0.0, 0.33, 0.67, 1.0]

    def test_on_time_is_the_one_that_came_soonest(self) -> None:
        assert self.lags([(1.0, 9.5), (2.0, 10.1), (3.0, 11.3)]) == [0.0, 0.0, 0.2]

    def test_a_clock_that_restarts_or_stands_still(self) -> None:
        assert self.lags([(900.0, 1.0), (0.0, 2.0), (1.0, 3.5)]) == [0.0, 0.0, 0.5]
        assert self.lags([(0.0, float(i)) for i in range(3)]) == [0.0, 0.0, 0.0]

    def test_a_clock_that_is_too_slow_to_be_one(self) -> None:
        assert self.lags([(i / 1e6, float(i)) for i in range(100)])[-1] <= 30

    def test_clocks_drift_apart(self) -> None:
        drifting = [(i * (1 - 1e-4), float(i)) for i in range(3600)]
        assert max(self.lags(drifting)) < 0.01

    def test_no_stamps(self) -> None:
        assert self.lags([(None, 1.0), (None, 5.0), (3.0, 6.0)]) == [0.0, 0.0, 0.0]


class TestQueueWatch:
    """30 frames a second: those that were waited for are the newest there are."""

    def watch(self, seconds: float, takes_s: float, slept_s: float) -> QueueWatch:
        watch = QueueWatch()
        for i in range(1, 1 + round(seconds / takes_s)):
            watch.note(i / 30, 100 + i * takes_s, slept_s)
            if watch.is_hopeless:
                break
        return watch

    def test_as_fast_as_the_camera(self) -> None:
        watch = self.watch(5, 1 / 30, 0.03)
        assert (watch.is_behind, watch.is_hopeless, round(watch.lag_s, 3)) == (False, False, 0)

    def test_too_slow(self) -> None:
        watch = self.watch(5, 1 / 15, 0)
        assert watch.is_behind
        assert watch.is_hopeless
        assert 1 < watch.lag_s < 2

    def test_a_camera_whose_clock_is_too_slow(self) -> None:
        """Its frames are waited for, so nothing is queued here, whatever its clock says."""
        watch = self.watch(20, 1 / 15, 0.05)
        assert (watch.is_behind, watch.is_hopeless) == (False, False)

    def test_a_queue_that_shrinks_is_not_given_up(self) -> None:
        watch = QueueWatch()
        watch.note(0.0, 100.0, 0.03)
        for i in range(1, 300):  # twelve seconds came at once, and are read ten times as fast
            watch.note(i / 30, 112 + i / 300, 0)
            assert not watch.is_hopeless
        assert watch.is_behind


def test_sleeping_is_told_from_working() -> None:
    with Sleep() as slept:
        sleep(0.1)
    with Sleep() as worked:
        sum(range(2_000_000))
    assert slept.slept_ns > 50e6
    assert worked.slept_ns < slept.slept_ns


class SlowCapture:
    """30 frames a second by their stamps, of which 15 a second are decoded; nobody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._grabbed = 0

    def get(self, what: int) -> float:
        return 1000 * self._grabbed / 30 if what == cv2.CAP_PROP_POS_MSEC else 0.0

    def grab(self) -> bool:
        self._grabbed += 1
        self.now_s += 1 / 15
        return True

    def release(self) -> None: ...


def test_a_stream_that_is_decoded_too_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened again, which begins with what is new; the age stays bounded."""
    capture = SlowCapture()
    monkeypatch.setattr(opencv_source.time, "monotonic", lambda: capture.now_s)
    source = OpenCvSource(capture, "camera", live=True)
    with pytest.raises(FallenBehindError, match=r"come 1\.[0-9] s late, because this machine"):
        for _ in range(300):
            assert source.grab()
            assert source.lag_s < 2


def test_the_time_stamps_of_mjpeg() -> None:
    one, two = jpeg(plain((1, 2, 3))), jpeg(plain((4, 5, 6)))
    parts = iter(
        [
            b"--f\r\nContent-Type: image/jpeg\r\nX-Timest",
            b"amp: 1700000000.250000\r\n\r\n" + one[:50],
            one[50:] + b"\r\n--f\r\nx-timestamp:7\r\n\r\n" + two + one,
        ]
    )
    splitter = JpegSplitter(lambda: next(parts, b""))
    found = []
    while (data := splitter.next()) is not None:
        found.append((data, splitter.stamp_s))
    assert found == [(one, 1700000000.25), (two, 7.0), (one, None)]


def test_mjpeg_that_was_stamped_long_before_it_came() -> None:
    """A queue before us, in the camera or the network, shows as age."""
    data = jpeg(plain((1, 2, 3)))
    parts = iter([b"X-Timestamp: 10.0\r\n\r\n" + data, b"X-Timestamp: 10.001\r\n\r\n" + data])

    def read() -> bytes:
        sleep(0.3)
        return next(parts)

    source = JpegSource("camera", live=True, ends=False, read=read, close=lambda: None)
    source.grab()
    assert source.lag_s == 0
    source.grab()
    assert source.lag_s > 0.25


def test_a_pipe_that_is_still_empty_when_the_model_is_loaded() -> None:
    """The frame that was waited for was passed over with those before it."""
    reads = iter([jpeg(plain((7, 8, 9)))])
    ready = threading.Event()

    def read() -> bytes:
        ready.wait(10)
        return next(reads, b"")

    source = JpegSource("pipe", live=True, ends=True, read=read, close=lambda: None)
    with Feed(lambda: source, Orientation()) as feed:
        threading.Timer(0.2, ready.set).start()
        assert len(list(feed)) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_a_pipe_that_ends_while_the_model_is_loading(count: int, photos: list[Image]) -> None:
    """16: ``cat photo.jpg | edgevit run - --jsonl -`` answered nothing."""
    ended = subprocess.run(
        [sys.executable, "-m", "edgevit", "run", "-", "--jsonl", "-"],
        input=b"".join(jpeg(photo) for photo in photos[:count]),
        capture_output=True,
        check=False,
        env=environment(),
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    newest = answers[-1]
    height, width = photos[count - 1].shape[:2]
    assert (newest["width_px"], newest["height_px"]) == (width, height), "the last picture"
    counts = newest["frames"]
    # What comes before the model is ready is not counted, unless the pipe ends before that too.
    assert newest["frame"] == counts["captured"] - 1 < count
    assert counts["answered"] + counts["dropped"] == counts["captured"]
    assert len(answers) == counts["answered"] >= 1

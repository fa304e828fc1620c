"""What OpenCV reads: video files, webcams, network streams, GStreamer pipelines."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgevit.common.errors import InputError
from edgevit.common.installation.install_command import uninstall
from edgevit.common.untrusted.bounded import native_name, open_regular
from edgevit.images.image_io import Image
from edgevit_runtimes.devices.advice import opencv_package
from edgevit_runtimes.sources.capture_request import CaptureRequest
from edgevit_runtimes.sources.frame import (
    Decode,
    FallenBehindError,
    SourceLostError,
    UnreadableFrameError,
)
from edgevit_runtimes.sources.frame_queue import QueueWatch
from edgevit_runtimes.sources.source_address import Address, Kind
from edgevit_runtimes.sources.thread_sleep import Sleep

# OpenCV reads these when it first opens something. FFmpeg's messages would hold addresses with
# their passwords.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "5")  # seconds

# Of a network stream: no packets held back, no frames reordered, a second to find out what it is.
_FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_LOW_DELAY = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|analyzeduration;1000000"
_MAKE_BGR = "videoconvert ! video/x-raw,format=BGR"
_NEWEST = "appsink drop=true max-buffers=1 sync=false"


class OpenCvSource:
    """Frames of a ``cv2.VideoCapture``; grabbed and converted apart.

    Where FFmpeg decodes, a frame is handed over decompressed; what is left is its colours.
    FFmpeg stamps frames with their presentation time, Video4Linux with that of the exposure.
    """

    def __init__(self, capture: cv2.VideoCapture, name: str, live: bool) -> None:
        self.name, self.live = name, live
        self._capture = capture
        self._queue = QueueWatch()
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps: float | None = fps if 0 < fps <= 1000 else None
        count = 0 if live else int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.expected: int | None = count if count > 0 else None

    @property
    def lag_s(self) -> float:
        return self._queue.lag_s

    @property
    def is_behind(self) -> bool:
        return self._queue.is_behind

    def grab(self) -> bool:
        if not self.live:
            return self._capture.grab()
        with Sleep() as sleep:
            grabbed = self._capture.grab()
        if not grabbed:
            raise SourceLostError("the stream ended or stalled")
        stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        self._queue.note(stamp_s, time.monotonic(), sleep.slept_ns / 1e9)
        if self._queue.is_hopeless:
            raise FallenBehindError(
                f"its frames come {self._queue.lag_s:.1f} s late, because this machine decodes "
                "them slower than they are sent; a smaller or slower stream of it would help"
            )
        return True

    def retrieve(self) -> Decode:
        try:
            got, picture = self._capture.retrieve()
        except cv2.error as error:
            raise UnreadableFrameError(f"a frame of {self.name} cannot be converted") from error
        if not got or picture is None or picture.size == 0:
            raise UnreadableFrameError(f"a frame of {self.name} is empty")
        return partial(_to_rgb, picture)

    def close(self) -> None:
        self._capture.release()


def _to_rgb(picture: np.ndarray[Any, Any]) -> Image:
    code = cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(picture, code), np.uint8)


def open_video(address: Address) -> OpenCvSource:
    """A video file.

    Raises:
        InputError: OpenCV cannot read it.
    """
    with _named_in_utf8(Path(address.text)) as name:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise InputError(
            f"OpenCV cannot read {address.name}: damaged, cut off, or a codec that it lacks. "
            f"Convert it: ffmpeg -i {Path(address.text).name} -c:v libx264 -pix_fmt yuv420p "
            "converted.mp4"
        )
    return OpenCvSource(capture, address.name, live=False)


def open_network(address: Address, stall_s: float) -> OpenCvSource:
    """A stream that FFmpeg reads, such as RTSP (over TCP).

    Raises:
        InputError: nobody answers, or nothing that can be decoded.
    """
    milliseconds = round(1000 * stall_s)
    settings = [
        (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds),
        (cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds),
        (cv2.CAP_PROP_N_THREADS, 1),  # every decoder thread would hold a frame back
    ]
    flat = [value for setting in settings for value in setting]
    with _low_delay():
        capture = cv2.VideoCapture(address.text, cv2.CAP_FFMPEG, flat)
    if not capture.isOpened():
        raise InputError(
            f"Cannot open {address.name}: nobody answers within {stall_s:g} s, the path, user or "
            "password is wrong, or its codec cannot be decoded."
        )
    return OpenCvSource(capture, address.name, live=True)


def open_webcam(address: Address, request: CaptureRequest) -> OpenCvSource:
    """A webcam through Video4Linux.

    Raises:
        InputError: no such camera, not allowed, or in use.
    """
    device = Path(address.text)
    _check_device(device)
    capture = cv2.VideoCapture(str(device), cv2.CAP_V4L2)
    if not capture.isOpened():
        raise InputError(
            f"{device} cannot be opened: it is no camera (some devices have two nodes, try the "
            "next number), or another program uses it ('fuser -v " + str(device) + "' says which)."
        )
    if request.pixel_format:  # first: the sizes that a driver offers depend on it
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*request.pixel_format))
    if request.size_px:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, request.size_px[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, request.size_px[1])
    if request.fps:
        capture.set(cv2.CAP_PROP_FPS, request.fps)
    return OpenCvSource(capture, address.name, live=True)


def open_pipeline(address: Address, request: CaptureRequest, stall_s: float) -> OpenCvSource:
    """A GStreamer pipeline, or a CSI camera by the pipeline that Jetsons read it with.

    Raises:
        InputError: this OpenCV has no GStreamer, or GStreamer refuses the pipeline.
    """
    if not has_gstreamer():
        raise InputError(
            f"{address.name} needs an OpenCV with GStreamer, and this one (cv2 {cv2.__version__}) "
            "has none: pip's never has. Use the system's, in an environment made with 'python3 -m "
            f"venv --system-site-packages': sudo apt install {opencv_package()} && "
            f"{uninstall('opencv-python', 'opencv-python-headless')}"
        )
    is_csi = address.kind is Kind.CSI
    text = csi_pipeline(address, request) if is_csi else with_sink(address.text)
    settings = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(1000 * stall_s)]
    settings += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * stall_s)]
    capture = cv2.VideoCapture(text, cv2.CAP_GSTREAMER, settings)
    if not capture.isOpened():  # an older OpenCV refuses the timeouts
        capture = cv2.VideoCapture(text, cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        raise InputError(
            f"GStreamer cannot start {address.name}. Try it in a terminal: gst-launch-1.0 "
            f"{'nvarguscamerasrc ! fakesink' if is_csi else 'and the pipeline'}; an element may be "
            "missing, or the camera is in use."
        )
    return OpenCvSource(capture, address.name, live=True)


def has_gstreamer() -> bool:
    """Whether this OpenCV was built with GStreamer."""
    return cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER)


def csi_pipeline(address: Address, request: CaptureRequest) -> str:
    """The camera's frames from the Jetson's image processor into memory that OpenCV reads."""
    width, height = request.size_px or (1280, 720)
    fps = round(request.fps or 30)
    sensor = address.text.rpartition("/")[2]
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),width={width},"
        f"height={height},format=NV12,framerate={fps}/1 ! nvvidconv ! video/x-raw,format=BGRx ! "
        f"{_MAKE_BGR} ! {_NEWEST}"
    )


def with_sink(pipeline: str) -> str:
    """A pipeline as it is, or with the end that OpenCV reads from."""
    return pipeline if "appsink" in pipeline else f"{pipeline} ! {_MAKE_BGR} ! {_NEWEST}"


@contextmanager
def _named_in_utf8(file: Path) -> Iterator[str]:
    """A name of a regular file that OpenCV takes: of any other encoding it would crash."""
    with open_regular(file, "video") as opened:
        yield native_name(file) or f"/proc/self/fd/{opened.fileno()}"


@contextmanager
def _low_delay() -> Iterator[None]:
    """FFmpeg's options while a stream is opened, unless the user has set others."""
    if _FFMPEG_OPTIONS in os.environ:
        yield
        return
    os.environ[_FFMPEG_OPTIONS] = _LOW_DELAY
    try:
        yield
    finally:
        del os.environ[_FFMPEG_OPTIONS]


def _check_device(device: Path) -> None:
    if not device.exists():
        others = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        raise InputError(f"No such camera: {device}. Cameras on this machine: {others}.")
    if not os.access(device, os.R_OK | os.W_OK):
        raise InputError(
            f"No permission to use {device}. Add yourself to its group and log in again: "
            "sudo usermod -aG video $USER"
        )

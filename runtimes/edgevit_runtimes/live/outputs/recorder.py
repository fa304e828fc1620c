"""Annotated video as fragmented MP4: what is on the disk can be played, however the run ends."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgevit.common.errors import EdgevitError
from edgevit.common.storage.files import cannot_write
from edgevit.images.image_io import Image
from edgevit_runtimes.live.observation import Observation

if TYPE_CHECKING:
    from av.container import OutputContainer

_CLOCK = 90_000  # ticks a second
_FRAGMENT_S = 1
# The index comes first and is empty; every fragment carries its own part of it.
_CONTAINER = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": str(_FRAGMENT_S * 1_000_000),
    "flush_packets": "1",
}
# Nothing is looked ahead at, so a frame that was answered is on the disk within a fragment.
_ENCODER = {"preset": "veryfast", "tune": "zerolatency", "crf": "21"}


class Recorder:
    """Writes H.264. The size is that of the first frame; frames of others are fitted into it.

    Args:
        fps: of a file, whose frames are placed by their number; None: they are placed by when they
            were captured, as a camera's are.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        self.path = path
        self.written = self.fitted = 0
        self._fps = fps
        self._container: OutputContainer | None = None
        self._stream: Any = None
        self._first: Observation | None = None
        self._last_tick = -1

    def open(self) -> None:
        """The file is made when the size of the first frame is known."""

    def show(self, observation: Observation, picture: Image) -> None:
        """Appends a picture.

        Raises:
            EdgevitError: the place cannot be written to, or is full; the file is closed.
        """
        import av

        try:
            if self._container is None:
                self._start(observation, picture)
            self._write(observation, picture)
        except (OSError, av.error.FFmpegError) as error:
            self._abandon()
            reason = OSError(error.errno, error.strerror)
            played = f" What was written ({self.written} frames) plays." if self.written else ""
            raise EdgevitError(f"{cannot_write(self.path, reason)}{played}") from error

    def close(self) -> None:
        """Finishes the file.

        Raises:
            EdgevitError: its end cannot be written.
        """
        import av

        if self._container is None:
            return
        try:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            self._container.close()
        except (OSError, av.error.FFmpegError) as error:
            raise EdgevitError(
                str(cannot_write(self.path, OSError(error.errno, error.strerror)))
            ) from error
        finally:
            self._container = None

    def _start(self, observation: Observation, picture: Image) -> None:
        import av

        height, width = picture.shape[:2]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        container = av.open(str(self.path), "w", format="mp4", options=_CONTAINER)
        stream = container.add_stream("libx264", rate=round(self._fps or 30), options=_ENCODER)
        stream.width, stream.height = width + width % 2, height + height % 2  # 4:2:0 wants even
        stream.pix_fmt = "yuv420p"
        stream.gop_size = round(_FRAGMENT_S * (self._fps or 30))
        stream.time_base = stream.codec_context.time_base = Fraction(1, _CLOCK)
        self._container, self._stream, self._first = container, stream, observation

    def _write(self, observation: Observation, picture: Image) -> None:
        import av

        assert self._container is not None
        frame = av.VideoFrame.from_ndarray(self._fit(picture), format="rgb24")
        frame.pts = self._tick(observation)
        frame.time_base = Fraction(1, _CLOCK)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self.written += 1

    def _tick(self, observation: Observation) -> int:
        """When the frame is shown, always after the one before."""
        assert self._first is not None
        if self._fps is None:
            since_ns = observation.frame.captured_ns - self._first.frame.captured_ns
            tick = since_ns * _CLOCK // 1_000_000_000
        else:
            since = observation.frame.number - self._first.frame.number
            tick = round(since * _CLOCK / self._fps)
        self._last_tick = max(tick, self._last_tick + 1)
        return self._last_tick

    def _fit(self, picture: Image) -> Image:
        """Into the size of the video, aspect kept, the rest black; an odd side is made even."""
        height, width = self._stream.height, self._stream.width
        own_height, own_width = picture.shape[:2]
        border = cv2.BORDER_REPLICATE
        if (own_height + own_height % 2, own_width + own_width % 2) != (height, width):
            self.fitted += 1
            border = cv2.BORDER_CONSTANT
            scale = min(width / own_width, height / own_height)
            size = (max(1, int(own_width * scale)), max(1, int(own_height * scale)))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        bottom, right = height - picture.shape[0], width - picture.shape[1]
        top, left = bottom // 2, right // 2
        sides = (top, bottom - top, left, right - left)
        return np.asarray(cv2.copyMakeBorder(picture, *sides, border), np.uint8)

    def _abandon(self) -> None:
        """Lets go of a file that takes no more, and cuts off the fragment that was torn."""
        import av

        container, self._container = self._container, None
        if container is None:
            return
        with suppress(OSError, av.error.FFmpegError):  # still full: that is being reported already
            container.close()
        with suppress(OSError):
            os.truncate(self.path, whole_fragments_bytes(self.path))


def whole_fragments_bytes(path: Path) -> int:
    """Where the last whole fragment of an MP4 ends (ISO/IEC 14496-12: size and type of each box).

    A fragment is a ``moof`` box, its index, and the ``mdat`` box after it.
    """
    size, end, position = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8:
            length, kind = int.from_bytes(header[:4], "big"), header[4:]
            position += length
            if length < 8 or position > size:
                break
            if kind != b"moof":
                end = position
            file.seek(position)
    return end

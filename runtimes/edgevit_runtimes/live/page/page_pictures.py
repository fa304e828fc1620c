"""The newest observation and its pictures, for any number of viewers that fetch at their own pace.

There is no queue: a viewer asks for what is newer than what it has, and a picture is drawn when it
is first asked for, once for all viewers. So a viewer that is slow, or stuck, holds nothing up.
While a snapshot is drawn, whoever asks for one gets that; so at most two frames are held, however
many ask.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2

from edgevit.common.errors import CheckFailedError
from edgevit.images.image_io import Image
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.outputs.annotator import Annotator

LONGEST_PX = 1280  # of a live picture; a snapshot has the size of the frame
_DRAWING_NICENESS = 10
_LIVE_QUALITY, _SNAPSHOT_QUALITY = 80, 95


@dataclass(frozen=True)
class Snapshot:
    """A JPEG, and the number of its frame."""

    number: int
    jpeg: bytes


class NewestPictures:
    """Filled by the loop's thread, read in an event loop."""

    def __init__(self, annotator: Annotator, loop: asyncio.AbstractEventLoop) -> None:
        self._annotator, self._loop = annotator, loop
        self.newest: Observation | None = None
        self._waiting = 0
        self._came = asyncio.Event()
        self._drawing = ThreadPoolExecutor(1, "page-drawing", initializer=_give_way)
        self._drawn: dict[bool, asyncio.Future[bytes]] = {}
        self._drawn_of: Observation | None = None
        self._snapshots: dict[bool, asyncio.Future[Snapshot]] = {}

    def publish(self, observation: Observation) -> None:
        """From any thread."""
        self.newest = observation
        if self._waiting:
            self._loop.call_soon_threadsafe(self._wake)

    async def newer_than(self, seen: Observation | None, timeout_s: float) -> Observation | None:
        """The newest observation once it is another than ``seen``, or None when the time is up."""
        self._waiting += 1  # first, so that what is published from here on wakes us
        try:
            if self.newest is seen:
                await asyncio.wait_for(self._came.wait(), timeout_s)
        except asyncio.TimeoutError:
            return None
        finally:
            self._waiting -= 1
        return self.newest

    async def jpeg(self, observation: Observation, outlines: bool) -> bytes:
        """The annotated picture at the size of the page."""
        if self._drawn_of is not observation:
            self._drawn, self._drawn_of = {}, observation
        if outlines not in self._drawn:
            self._drawn[outlines] = self._draw(observation, outlines, LONGEST_PX, _LIVE_QUALITY)
        return await asyncio.shield(self._drawn[outlines])

    async def snapshot(self, outlines: bool) -> Snapshot | None:
        """The newest annotated picture in full size, or the one that is being drawn; None: none."""
        if outlines not in self._snapshots:
            if self.newest is None:
                return None
            drawing = asyncio.ensure_future(self._draw_snapshot(self.newest, outlines))
            self._snapshots[outlines] = drawing
            drawing.add_done_callback(lambda _: self._snapshots.pop(outlines))
        return await asyncio.shield(self._snapshots[outlines])

    async def _draw_snapshot(self, observation: Observation, outlines: bool) -> Snapshot:
        data = await self._draw(observation, outlines, None, _SNAPSHOT_QUALITY)
        return Snapshot(observation.frame.number, data)

    def close(self) -> None:
        self._drawing.shutdown(wait=True, cancel_futures=True)

    def _wake(self) -> None:
        self._came.set()
        self._came = asyncio.Event()

    def _draw(
        self, observation: Observation, outlines: bool, longest_px: int | None, quality: int
    ) -> asyncio.Future[bytes]:
        def draw() -> bytes:
            return encode(self._annotator.draw(observation, outlines, longest_px), quality)

        return self._loop.run_in_executor(self._drawing, draw)


def _give_way() -> None:
    """Where the loop takes all cores, it comes first, and viewers see fewer pictures."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _DRAWING_NICENESS)


def encode(picture: Image, quality: int) -> bytes:
    """uint8 RGB to JPEG."""
    coded, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not coded:
        raise CheckFailedError(f"OpenCV could not encode a picture of {picture.shape} as JPEG.")
    return data.tobytes()

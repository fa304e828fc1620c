"""A source read in a thread of its own, so that answers are about the newest frame.

A live source goes on whether or not anybody is ready: a frame that nobody took is replaced by the
next and counted as dropped. A file waits, and nothing of it is dropped. A live source that ends or
stalls is opened again, after 0.1 s, then twice as long each time up to a second, until it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from edgevit.common.errors import InputError
from edgevit.images.image_io import Image
from edgevit_runtimes.live.slot import Slot
from edgevit_runtimes.sources.capture_request import Orientation
from edgevit_runtimes.sources.frame import Frame, Source, SourceLostError, UnreadableFrameError

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 1.0
_LOOK_UP_S = 0.2  # how often a waiting loop sees whether it is to stop
_CLOSING_S = 2.0
_CUT = 0.95  # of the announced frames; containers only estimate them

Open = Callable[[], Source]
Say = Callable[[str], None]


@dataclass
class FeedCounts:
    """captured: handed over by the source. skipped: not asked for (``every``)."""

    captured: int = 0
    skipped: int = 0
    unreadable: int = 0
    reconnects: int = 0


class Feed:
    """Frames to iterate over. A context manager; leaving it ends the thread.

    Args:
        open_source: opens the source, and opens it again after it was lost.
        orientation: how every frame is turned.
        every: only every so many-th frame is taken.
        pace_fps: read a file at this rate; None: as fast as frames are taken.
        say: is told when the source is lost, is back, or a file cannot be read; from the thread.

    Raises:
        InputError: the source cannot be opened in the first place.
    """

    def __init__(
        self,
        open_source: Open,
        orientation: Orientation,
        every: int = 1,
        pace_fps: float | None = None,
        say: Say = print,
    ) -> None:
        self._open, self._say = open_source, say
        self._orientation, self._every = orientation, every
        self._source = open_source()
        self.live, self.fps = self._source.live, self._source.fps
        self.name = self._source.name
        self._pace_ns = None if self.live or pace_fps is None else round(1e9 / pace_fps)
        self.counts = FeedCounts()
        self.connected = True
        self.ended = False  # the source came to its end, and all of it was taken
        self._slot: Slot[Frame] = Slot(replaces=self.live)
        self._wait_s, self._lost_s = _FIRST_WAIT_S, 0.0
        self._ready, self._stopping = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were taken."""
        return self._slot.replaced

    def stop(self) -> None:
        """Ends the iteration; safe in a signal handler."""
        self._stopping.set()

    def __iter__(self) -> Iterator[Frame]:
        self._ready.set()
        while not self._stopping.is_set():
            frame = self._slot.take(_LOOK_UP_S)
            if frame is not None:
                yield frame
            elif self._slot.finished:
                self.ended = True
                break
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._slot.close()
        self._thread.join(_CLOSING_S)  # one that hangs in a driver ends with the process

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._read()
                    return
                except SourceLostError as lost:
                    self._reconnect(lost)
        except BaseException as error:
            self._error = error
        finally:
            self._source.close()
            self.connected = False
            self._slot.close()

    def _read(self) -> None:
        """Hands frames on until the source ends or the feed is stopped."""
        if self.live:
            self._pass_over_until_ready()
        due_ns = time.perf_counter_ns()
        while not self._stopping.is_set():
            if self._pace_ns is not None:
                self._stopping.wait(max(0, due_ns - time.perf_counter_ns()) / 1e9)
                due_ns += self._pace_ns
            self._slot.wait_for_room()
            started_ns = time.perf_counter_ns()
            if not self._source.grab():
                self._say_if_cut()
                return
            captured_ns, captured_unix_s = time.perf_counter_ns(), time.time()
            number = self._count()
            if number % self._every:
                self.counts.skipped += 1
                continue
            picture = self._picture()
            if picture is None:
                continue
            decode_ns = time.perf_counter_ns() - captured_ns
            capture_ns = captured_ns - started_ns
            stamps = (captured_ns, captured_unix_s, capture_ns, decode_ns)
            if not self._slot.put(Frame(picture, number, self._source.name, *stamps)):
                return

    def _pass_over_until_ready(self) -> None:
        """What a camera queued up while a model was loading is old, and nobody's."""
        while not (self._ready.is_set() or self._stopping.is_set()):
            self._source.grab()

    def _count(self) -> int:
        """The number of the frame that was just handed over."""
        if not self.connected:
            away_s = time.monotonic() - self._lost_s
            self.counts.reconnects += 1
            self.connected = True
            self._wait_s = _FIRST_WAIT_S
            self._say(f"{self.name}: back after {away_s:.1f} s")
        self.counts.captured += 1
        return self.counts.captured - 1

    def _picture(self) -> Image | None:
        try:
            return self._orientation.apply(self._source.retrieve())
        except UnreadableFrameError as error:
            self.counts.unreadable += 1
            if not self.live:  # a bad connection would say it many times a second
                self._say(str(error))
            return None

    def _reconnect(self, lost: SourceLostError) -> None:
        self._source.close()
        if self.connected:
            self.connected, self._lost_s = False, time.monotonic()
            self._say(f"{self.name}: {lost}; connecting again")
        while not self._stopping.wait(self._wait_s):
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
            with suppress(InputError):  # not back yet
                self._source = self._open()
                return

    def _say_if_cut(self) -> None:
        expected, captured = self._source.expected, self.counts.captured
        if expected and captured < _CUT * expected:
            self._say(
                f"{self.name}: ended after {captured} frames, though it announces {expected}; "
                "it is cut off or damaged there"
            )

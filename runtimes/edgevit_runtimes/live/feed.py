"""A source read in threads of its own, so that answers are about the newest frame.

A live source goes on whether or not anybody is ready. One thread does nothing but take what it
sends, so that no frame waits in a buffer of the network, the driver or a pipe; a second one decodes
the newest of these. A frame that nobody took is replaced by the next and counted as dropped. A file
waits, and nothing of it is dropped. A live source that ends or stalls is opened again, after 0.1 s,
then twice as long each time up to a second, until it is back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from edgevit.common.errors import InputError
from edgevit_runtimes.live.slot import Slot
from edgevit_runtimes.sources.capture_request import Orientation
from edgevit_runtimes.sources.frame import (
    Decode,
    FallenBehindError,
    Frame,
    Source,
    SourceLostError,
    UnreadableFrameError,
)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 1.0
_LOOK_UP_S = 0.2  # how often a waiting loop sees whether it is to stop
_CLOSING_S = 2.0
_CUT = 0.95  # of the announced frames; containers only estimate them
_LONGEST_DRAIN_NS = 250_000_000  # then a late frame is better than none

Open = Callable[[], Source]
Say = Callable[[str], None]


@dataclass
class FeedCounts:
    """captured: handed over by the source. skipped: not asked for (``every``).

    outdated: newer ones were waiting behind it, so it was not decoded.
    """

    captured: int = 0
    skipped: int = 0
    outdated: int = 0
    unreadable: int = 0
    reconnects: int = 0


@dataclass(frozen=True)
class _Grabbed:
    """A frame that is not decoded yet; see :class:`Frame`."""

    decode: Decode
    number: int
    source: str
    captured_ns: int
    captured_unix_s: float
    capture_ns: int
    retrieve_ns: int


class Feed:
    """Frames to iterate over. A context manager; leaving it ends the threads.

    Args:
        open_source: opens the source, and opens it again after it was lost.
        orientation: how every frame is turned.
        every: only every so many-th frame is taken.
        pace_fps: read a file at this rate; None: as fast as frames are taken.
        say: is told when the source is lost, is back, or a file cannot be read; from a thread.

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
        self._grabbed: Slot[_Grabbed] = Slot(replaces=True)  # of a live source only
        self._slot: Slot[Frame] = Slot(replaces=self.live)
        self._handed_on_ns = 0
        self._wait_s, self._lost_s = _FIRST_WAIT_S, 0.0
        self._is_slow = False  # frames are decoded more slowly than they come
        self._is_told = True  # of the last loss; where it is slow, that is said once
        self._ready, self._stopping = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        works = {"capture": self._capture} | ({"decode": self._decode} if self.live else {})
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in works.items()
        ]

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were decoded, or taken."""
        return self.counts.outdated + self._grabbed.replaced + self._slot.replaced

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
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._close_slots()
        for thread in self._threads:
            thread.join(_CLOSING_S)  # one that hangs in a driver ends with the process

    def _close_slots(self) -> None:
        self._grabbed.close()
        self._slot.close()

    def _guarded(self, work: Callable[[], None]) -> None:
        """An error in a thread ends the iteration, which raises it."""
        try:
            work()
        except BaseException as error:
            self._error = error
            self._close_slots()

    def _capture(self) -> None:
        """The first thread: takes what the source hands over, until it ends."""
        try:
            while not self._stopping.is_set():
                try:
                    self._read()
                    return
                except SourceLostError as lost:
                    self._reconnect(lost)
        finally:
            self._source.close()
            self.connected = False
            (self._grabbed if self.live else self._slot).close()

    def _read(self) -> None:
        """Hands frames on until the source ends or the feed is stopped."""
        if self.live and not self._passes_over_until_ready():
            return
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
            self._take(started_ns)

    def _passes_over_until_ready(self) -> bool:
        """What a camera queued up while a model was loading is old, and nobody's.

        False if the source ended meanwhile, as pipes do: its last frame is handed on then.
        """
        passed_over = 0
        while not self._stopping.is_set():
            started_ns = time.perf_counter_ns()
            if not self._source.grab():
                self._hand_on_last(passed_over, started_ns)
                return False
            if self._ready.is_set():
                self._take(started_ns)
                return True
            passed_over += 1
        return False

    def _hand_on_last(self, passed_over: int, started_ns: int) -> None:
        if passed_over:
            self.counts.captured, self.counts.outdated = passed_over, passed_over - 1
            self._hand_on(passed_over - 1, started_ns)

    def _take(self, started_ns: int) -> None:
        """Counts the frame grabbed last, and hands it on where it was asked for."""
        number = self._count()
        if number % self._every:
            self.counts.skipped += 1
        elif self._is_outdated():
            self.counts.outdated += 1
        else:
            self._hand_on(number, started_ns)

    def _is_outdated(self) -> bool:
        """Whether newer frames wait behind the one at hand; now and then one is taken anyway."""
        drained_ns = time.perf_counter_ns() - self._handed_on_ns
        return self.live and self._source.is_behind and drained_ns < _LONGEST_DRAIN_NS

    def _hand_on(self, number: int, started_ns: int) -> None:
        """The frame grabbed last, to whoever decodes; of a file that is this thread."""
        handed_over_ns, lag_s = time.perf_counter_ns(), self._source.lag_s if self.live else 0.0
        try:
            decode = self._source.retrieve()
        except UnreadableFrameError as error:
            self._note_unreadable(error)
            return
        self._handed_on_ns = time.perf_counter_ns()
        grabbed = _Grabbed(
            decode,
            number,
            self._source.name,
            captured_ns=handed_over_ns - round(1e9 * lag_s),
            captured_unix_s=time.time() - lag_s,
            capture_ns=handed_over_ns - started_ns,
            retrieve_ns=self._handed_on_ns - handed_over_ns,
        )
        if self.live:
            self._grabbed.put(grabbed)
        elif frame := self._decoded(grabbed):
            self._slot.put(frame)

    def _decode(self) -> None:
        """The second thread: decodes the newest frame of a live source."""
        while not (self._stopping.is_set() or self._grabbed.finished):
            grabbed = self._grabbed.take(_LOOK_UP_S)
            if grabbed is not None and (frame := self._decoded(grabbed)):
                self._slot.put(frame)
        self._slot.close()

    def _decoded(self, grabbed: _Grabbed) -> Frame | None:
        started_ns = time.perf_counter_ns()
        try:
            picture = self._orientation.apply(grabbed.decode())
        except UnreadableFrameError as error:
            self._note_unreadable(error)
            return None
        return Frame(
            picture,
            grabbed.number,
            grabbed.source,
            grabbed.captured_ns,
            grabbed.captured_unix_s,
            grabbed.capture_ns,
            grabbed.retrieve_ns + time.perf_counter_ns() - started_ns,
        )

    def _note_unreadable(self, error: UnreadableFrameError) -> None:
        self.counts.unreadable += 1
        if not self.live:  # a bad connection would say it many times a second
            self._say(str(error))

    def _count(self) -> int:
        """The number of the frame that was just handed over."""
        if not self.connected:
            away_s = time.monotonic() - self._lost_s
            self.counts.reconnects += 1
            self.connected = True
            self._wait_s = _FIRST_WAIT_S
            if self._is_told:
                self._say(f"{self.name}: back after {away_s:.1f} s")
        self.counts.captured += 1
        return self.counts.captured - 1

    def _reconnect(self, lost: SourceLostError) -> None:
        self._source.close()
        if self.connected:
            self.connected, self._lost_s = False, time.monotonic()
            self._is_told = not (isinstance(lost, FallenBehindError) and self._is_slow)
            self._is_slow = isinstance(lost, FallenBehindError)
            if self._is_told:
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

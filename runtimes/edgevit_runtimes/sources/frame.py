"""A frame, what hands frames over, and what can go wrong there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from edgevit.common.errors import EdgevitError
from edgevit.images.image_io import Image

# Makes the picture of a frame, uint8 RGB [H, W, 3]; in any thread, while the source goes on.
# Raises UnreadableFrameError where it is damaged.
Decode = Callable[[], Image]


class SourceLostError(EdgevitError):
    """A live source ended or stalled; it may come back."""


class FallenBehindError(SourceLostError):
    """A live source sends more than is decoded here; opened again, it begins with what is new."""


class UnreadableFrameError(EdgevitError):
    """One frame is damaged or empty; the next may be whole."""


class Frame(Struct, frozen=True):
    """A decoded frame, turned and mirrored as asked.

    picture: uint8 RGB [H, W, 3].
    number: counts the frames that the source handed over, from 0; gaps are frames not taken.
    source: the file or stream it is from, without credentials.
    captured_ns: when the driver or decoder handed it over, less what it had been late by its
        source's clock; on the clock of ``perf_counter_ns``.
    captured_unix_s: the same moment, in seconds since 1970.
    capture_ns: how long the source was waited for.
    decode_ns: from what the source handed over to the picture.
    """

    picture: Image
    number: int
    source: str
    captured_ns: int
    captured_unix_s: float
    capture_ns: int
    decode_ns: int


class Source(Protocol):
    """Hands frames over, one after the other. All of it is called from one thread.

    name: how it is called in every output; it holds no credentials.
    live: whether frames come at their own pace, and are lost if nobody takes them.
    fps: frames a second, where the source knows.
    expected: how many frames it says that it holds, where it does.
    lag_s: how late the frame grabbed last is, by the source's own clock; 0 where it has none.
    is_behind: whether newer frames wait behind the one grabbed last, as far as that can be told.
    """

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool: ...

    @property
    def fps(self) -> float | None: ...

    @property
    def expected(self) -> int | None: ...

    @property
    def lag_s(self) -> float: ...

    @property
    def is_behind(self) -> bool: ...

    def grab(self) -> bool:
        """Waits until the next frame is handed over; False where a file ends.

        Raises:
            SourceLostError: a live source ended or stalled.
        """
        ...

    def retrieve(self) -> Decode:
        """The frame grabbed last, still to be decoded; also after ``grab`` found the end.

        Raises:
            UnreadableFrameError: it is damaged or empty.
        """
        ...

    def close(self) -> None: ...

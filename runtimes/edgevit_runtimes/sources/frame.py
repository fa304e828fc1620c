"""A frame, what hands frames over, and what can go wrong there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgevit.common.errors import EdgevitError
from edgevit.images.image_io import Image


class SourceLostError(EdgevitError):
    """A live source ended or stalled; it may come back."""


class UnreadableFrameError(EdgevitError):
    """One frame is damaged or empty; the next may be whole."""


@dataclass(frozen=True)
class Frame:
    """A decoded frame, turned and mirrored as asked.

    picture: uint8 RGB [H, W, 3].
    number: counts the frames that the source handed over, from 0; gaps are frames not taken.
    source: the file or stream it is from, without credentials.
    captured_ns: when the driver or decoder handed it over, on the clock of ``perf_counter_ns``.
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
    """Hands frames over, one after the other.

    name: how it is called in every output; it holds no credentials.
    live: whether frames come at their own pace, and are lost if nobody takes them.
    fps: frames a second, where the source knows.
    expected: how many frames it says that it holds, where it does.
    """

    @property
    def name(self) -> str: ...

    @property
    def live(self) -> bool: ...

    @property
    def fps(self) -> float | None: ...

    @property
    def expected(self) -> int | None: ...

    def grab(self) -> bool:
        """Waits until the next frame is handed over; False where a file ends.

        Raises:
            SourceLostError: a live source ended or stalled.
        """
        ...

    def retrieve(self) -> Image:
        """The frame grabbed last, uint8 RGB [H, W, 3].

        Raises:
            UnreadableFrameError: it is damaged or empty.
        """
        ...

    def close(self) -> None: ...

"""JPEGs one after the other in a stream of bytes: standard input, MJPEG over HTTP.

The JPEGs are found by their own markers, so the parts and boundaries that HTTP puts between them
(multipart/x-mixed-replace) need not be understood, and cameras that write them wrongly are read.
"""

from __future__ import annotations

import os
import re
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from http.client import HTTPException, HTTPResponse
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from edgevit.common.errors import InputError
from edgevit.images import image_io, jpeg
from edgevit.images.image_io import Image
from edgevit_runtimes.sources.frame import Decode, SourceLostError, UnreadableFrameError
from edgevit_runtimes.sources.source_address import without_credentials
from edgevit_runtimes.sources.source_clock import SourceClock

_CHUNK_BYTES = 1 << 16
_LARGEST_JPEG_BYTES = 64 << 20
_MOST_PIXELS = 64_000_000  # of a frame of a stream: twice those of 8K video
_HEADER_BYTES = 1024  # of what stands between two JPEGs, the last so many are kept
_STAMP = re.compile(rb"timestamp:[ \t]*([0-9]{1,15}(?:\.[0-9]{1,9})?)", re.IGNORECASE)
_MJPEG_TYPES = ("multipart/", "image/jpeg", "image/jpg", "video/x-motion-jpeg")

ReadBytes = Callable[[], bytes]


class JpegSplitter:
    """Cuts a stream of bytes into JPEGs; holds no more than one and the chunk read last.

    stamp_s: what the part's ``X-Timestamp`` says of the JPEG found last, seconds; many cameras
        send one.
    """

    def __init__(self, read: ReadBytes) -> None:
        self.stamp_s: float | None = None
        self._read = read
        self._held = bytearray()
        self._header = bytearray()
        self._end = jpeg.EndFinder()

    def next(self) -> bytes | None:
        """The next JPEG, None at the end of the stream. What is between JPEGs is passed over.

        The last one may lack its end; decoding it says so.

        Raises:
            SourceLostError: one that does not end within 64 MiB.
        """
        while True:
            self._drop_until_start()
            if extent := self._end.find(self._held):
                self._end = jpeg.EndFinder()
                found = bytes(memoryview(self._held)[: extent.end])
                del self._held[: extent.end]
                self._read_header()
                return found
            if len(self._held) > _LARGEST_JPEG_BYTES:
                raise SourceLostError("the stream sent a JPEG of more than 64 MiB")
            chunk = self._read()
            if not chunk:
                rest, self._held = bytes(self._held), bytearray()
                self._end = jpeg.EndFinder()
                return rest if rest.startswith(jpeg.START_OF_IMAGE) else None
            self._held += chunk

    def _drop_until_start(self) -> None:
        start = self._held.find(jpeg.START_OF_IMAGE + b"\xff")
        # Without a start, the last two bytes may be the beginning of one.
        end = start if start >= 0 else max(0, len(self._held) - 2)
        if end:
            self._header = (self._header + self._held[:end])[-_HEADER_BYTES:]
            del self._held[:end]

    def _read_header(self) -> None:
        stamps = _STAMP.findall(self._header)
        self.stamp_s = float(stamps[-1]) if stamps else None
        self._header.clear()


class JpegSource:
    """Frames from a splitter.

    ends: whether the end of the bytes is the end, and not a connection that broke.
    """

    fps = None
    expected = None
    is_behind = False  # undecoded frames cost nothing, so whoever takes them takes the newest

    def __init__(
        self, name: str, live: bool, ends: bool, read: ReadBytes, close: Callable[[], None]
    ) -> None:
        self.name, self.live = name, live
        self.lag_s = 0.0
        self._ends = ends
        self._splitter = JpegSplitter(read)
        self._clock = SourceClock()
        self._data = b""
        self._close = close

    def grab(self) -> bool:
        data = self._splitter.next()
        if data is not None:
            self._data = data
            self.lag_s = self._clock.lag_s(self._splitter.stamp_s, time.monotonic())
            return True
        if not self._ends:
            raise SourceLostError("the stream ended")
        return False

    def retrieve(self) -> Decode:
        return partial(_decode, self._data, f"a frame of {self.name}")

    def close(self) -> None:
        self._close()


def _decode(data: bytes, name: str) -> Image:
    width, height = jpeg.size_px(data) or (0, 0)
    if width * height > _MOST_PIXELS:
        raise UnreadableFrameError(
            f"{name} says that it has {width} x {height} pixels; of a stream at most "
            f"{_MOST_PIXELS // 1_000_000} million are read. Give a larger picture as a file."
        )
    try:
        return image_io.decode(data, name)
    except InputError as error:
        raise UnreadableFrameError(str(error)) from error


def open_stdin() -> JpegSource:
    """JPEGs on standard input: all of a file, the newest of a pipe.

    Raises:
        InputError: standard input is a terminal, or closed.
    """
    try:
        is_terminal, is_file = os.isatty(0), stat.S_ISREG(os.fstat(0).st_mode)
    except OSError:
        raise InputError(
            "Standard input is closed. Pipe JPEGs into it, or name a source."
        ) from None
    if is_terminal:
        raise InputError("'-' reads JPEGs from standard input, which is a terminal. Pipe some in.")
    live = not is_file
    return JpegSource(
        "standard input", live, True, lambda: os.read(0, _CHUNK_BYTES), close=lambda: None
    )


def open_http(url: str, stall_s: float) -> JpegSource | None:
    """MJPEG over HTTP; None where the address answers with something else, such as a video.

    Raises:
        InputError: no connection, refused, or not allowed in; the address is shown without
            credentials.
    """
    name = without_credentials(url)
    try:
        response: HTTPResponse = _opener(url).open(_without_user(url), timeout=stall_s)
    except urllib.error.HTTPError as error:
        error.close()
        hint = _hint_at_password(url) if error.code == 401 else ""
        raise InputError(f"{name} answered with HTTP status {error.code}.{hint}") from None
    except (OSError, HTTPException, UnicodeError) as error:
        raise InputError(f"Cannot connect to {name}: {_reason(error)}.") from None
    except ValueError:  # what urllib raises for a question that it cannot answer
        raise InputError(
            f"{name} asks for a kind of authentication that is not supported; basic and digest "
            "are. Choose one of them in the camera's settings."
        ) from None
    if not response.headers.get_content_type().startswith(_MJPEG_TYPES):
        response.close()
        return None
    return JpegSource(name, True, False, lambda: _read(response, stall_s), response.close)


def _read(response: HTTPResponse, stall_s: float) -> bytes:
    started = time.monotonic()
    try:
        return response.read1(_CHUNK_BYTES)
    except TimeoutError:
        waited = time.monotonic() - started
        raise SourceLostError(f"nothing came for {max(waited, stall_s):.0f} s") from None
    except (OSError, HTTPException, ValueError) as error:  # ValueError: closed by another thread
        raise SourceLostError(f"the connection broke: {_reason(error)}") from None


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Answers a camera's question for a password, basic or digest. Ignores proxies of the web."""
    parts = urlsplit(url)
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        passwords.add_password(None, _without_user(url), user, password)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPBasicAuthHandler(passwords),
        urllib.request.HTTPDigestAuthHandler(passwords),
    )


def _hint_at_password(url: str) -> str:
    if urlsplit(url).username is None:
        return " Give user and password: http://USER:PASSWORD@..."
    return " The user and password that were given are refused."


def _without_user(url: str) -> str:
    parts: SplitResult = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _reason(error: Exception) -> str:
    """What the system says; never the address, which may hold credentials."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, str):
        return cause.rstrip(".")
    if isinstance(cause, TimeoutError):
        return "timed out"
    return getattr(cause, "strerror", None) or type(cause).__name__

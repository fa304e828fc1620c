"""Open pages, each at the end of a WebSocket.

A page asks for the next answer when it has shown the one before, so at most one is on the way to
it. What a viewer that stopped reading was sent fills its connection and no more; it is hung up on
after ten seconds.

From a page: ``{"outlines": true}``, "the next one, please". To it: the status as JSON, and, where
there is a newer frame, its JPEG after that.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from aiohttp import WSMsgType, web

from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.page.page_pictures import NewestPictures

MOST_VIEWERS = 32
_LONGEST_MESSAGE_BYTES = 256
_BUFFER_BYTES = 1 << 16
_SEND_S = 10.0
_STATUS_S = 1.0  # without a new frame, the status goes out so often
_LEAST_INTERVAL_S = 1 / 30
_HEARTBEAT_S = 20.0


class Viewers:
    """Serves ``/live``.

    Args:
        status: what goes with every picture.
    """

    def __init__(self, pictures: NewestPictures, status: Callable[[], dict[str, object]]) -> None:
        self._pictures, self._status = pictures, status
        self._open: set[web.WebSocketResponse] = set()

    @property
    def count(self) -> int:
        return len(self._open)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.count >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_VIEWERS} pages are open already.\n")
        socket = web.WebSocketResponse(
            heartbeat=_HEARTBEAT_S,
            max_msg_size=_LONGEST_MESSAGE_BYTES,
            writer_limit=_BUFFER_BYTES,
            compress=False,
        )
        self._open.add(socket)
        try:
            await socket.prepare(request)
            await self._answer(socket)
        except (asyncio.TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()  # what it did not read is dropped with it
        finally:
            self._open.discard(socket)
        return socket

    async def close(self) -> None:
        """Says goodbye to all at once; who does not listen is not waited for."""
        goodbyes = [socket.close(code=1001, message=b"the run ended") for socket in self._open]
        if goodbyes:
            await asyncio.wait(map(asyncio.ensure_future, goodbyes), timeout=_STATUS_S)

    async def _answer(self, socket: web.WebSocketResponse) -> None:
        seen: Observation | None = None
        async for message in socket:
            wish = _wish(message.data) if message.type is WSMsgType.TEXT else None
            if wish is None:
                await socket.close(code=1003, message=b'expected {"outlines": true or false}')
                return
            started = time.monotonic()
            seen = await self._send_newer_than(seen, socket, wish)
            await asyncio.sleep(_LEAST_INTERVAL_S - (time.monotonic() - started))

    async def _send_newer_than(
        self, seen: Observation | None, socket: web.WebSocketResponse, outlines: bool
    ) -> Observation | None:
        newer = await self._pictures.newer_than(seen, _STATUS_S)
        picture = await self._pictures.jpeg(newer, outlines) if newer else b""
        await asyncio.wait_for(self._send(socket, picture), _SEND_S)
        return newer or seen

    async def _send(self, socket: web.WebSocketResponse, picture: bytes) -> None:
        content = {**self._status(), "has_picture": bool(picture), "viewers": self.count}
        await socket.send_str(json.dumps(content))
        if picture:
            await socket.send_bytes(picture)


def _wish(text: str) -> bool | None:
    """Whether a page wants outlines; None for what no page of ours sends."""
    try:
        wish = json.loads(text)
    except (ValueError, RecursionError):
        return None
    outlines = wish.get("outlines") if isinstance(wish, dict) else None
    return outlines if isinstance(outlines, bool) else None

"""Room for so many connections; one that asks nothing makes room for one that may."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from edgevit.common.errors import InputError
from edgevit_runtimes.live.page.access import Listen

_SEND_BUFFER_BYTES = 1 << 18  # a live picture or two


class Connections:
    """The open connections of a server, oldest first.

    Connecting costs nothing, so somebody could take all the room in silence. Where there is none
    left, the oldest connection that has no request at work is hung up on; what has shown that it
    may ask (a viewer, a snapshot on its way) stays.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[asyncio.BaseProtocol, asyncio.Transport] = {}
        self._at_work: dict[asyncio.BaseProtocol, int] = {}

    def guard(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """The protocol of a new connection, which counts while it is open."""
        return _Counted(protocol, self)

    @contextmanager
    def working(self, protocol: asyncio.BaseProtocol) -> Iterator[None]:
        """In the block, this connection is not hung up on."""
        self._at_work[protocol] = self._at_work.get(protocol, 0) + 1
        try:
            yield
        finally:
            self._at_work[protocol] -= 1
            if not self._at_work[protocol]:
                del self._at_work[protocol]

    def add(self, protocol: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        if len(self._open) >= self._most:
            idle = (other for other in self._open if other not in self._at_work)
            oldest = next(idle, None)
            if oldest is None:
                transport.abort()
                return
            self._open.pop(oldest).abort()
        self._open[protocol] = transport

    def remove(self, protocol: asyncio.BaseProtocol) -> None:
        self._open.pop(protocol, None)


class _Counted(asyncio.Protocol):
    """Hands everything on to a protocol, and says when its connection begins and ends."""

    def __init__(self, protocol: asyncio.Protocol, connections: Connections) -> None:
        self._protocol, self._connections = protocol, connections
        self.data_received = protocol.data_received  # type: ignore[method-assign]
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._protocol.connection_made(transport)
        self._connections.add(self._protocol, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.remove(self._protocol)
        self._protocol.connection_lost(error)


async def cancel_others() -> None:
    """Ends every other task of this loop, and waits until they have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # for the callbacks of what ended


def listening_on(listen: Listen) -> socket.socket:
    """Bound here, so that an address in use is an error before anything starts."""
    host, port = listen.host, listen.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Its connections inherit it; without, the system keeps megabytes for one that is not read.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        listening.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"Cannot serve on {host}:{port}: {reason}. Give another address or port, such as "
            "--serve 127.0.0.1:8081."
        ) from error
    return listening

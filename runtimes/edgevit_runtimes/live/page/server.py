"""The page: a small web server in a thread of its own (aiohttp).

Nothing that a request says becomes a path: the page's files are read once, at the start, and every
route is fixed. Connections, viewers, request sizes and what is buffered for a viewer are bounded.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from importlib import resources
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from edgevit.common.errors import InputError
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.outputs.annotator import Annotator
from edgevit_runtimes.live.page.access import COOKIE, Access
from edgevit_runtimes.live.page.page_pictures import NewestPictures
from edgevit_runtimes.live.page.viewers import Viewers
from edgevit_runtimes.live.statistics import Statistics
from edgevit_runtimes.live.status import About, prometheus, state, status

_MOST_CONNECTIONS = 128
_LARGEST_REQUEST_BYTES = 4096
_SEND_BUFFER_BYTES = 1 << 18  # a live picture or two
_STARTING_S, _STOPPING_S = 10.0, 5.0
_WRONG_TOKEN_WAIT_S = 1.0
_MOST_LOGINS = 8  # that wait at once; the others are told to come back
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with none at all, forms would say that they have no origin
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_OPEN_PATHS = {"/login", "/page.css"}  # what a person without the token needs to give it


class PageServer:
    """A context manager: listens while it is open.

    Args:
        say: is told of mistakes of the server's own, a line each.

    Raises:
        InputError: the address cannot be listened on.
    """

    def __init__(
        self,
        access: Access,
        about: About,
        statistics: Statistics,
        annotator: Annotator,
        say: Callable[[str], None] = print,
    ) -> None:
        self._access, self._about, self._statistics = access, about, statistics
        self._logger = _logger(say)
        self._annotator = annotator
        self._files = {name: _read(name) for name in ("page.html", "page.css", "page.js")}
        self._login_page = _read("login.html")
        self._loop = asyncio.new_event_loop()
        self._pictures = NewestPictures(annotator, self._loop)
        self._viewers = Viewers(self._pictures, self.status)
        self._logins = 0
        self._login_turn = asyncio.Lock()
        self._socket = _listening(access)
        self._stopping = asyncio.Event()
        self._started = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    @property
    def url(self) -> str:
        host, port = self._socket.getsockname()[:2]
        if self._access.listen.is_everywhere:
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    @property
    def viewers(self) -> int:
        return self._viewers.count

    def publish(self, observation: Observation) -> None:
        """Makes this the newest; costs next to nothing where nobody looks."""
        self._pictures.publish(observation)

    def status(self) -> dict[str, object]:
        return status(self._about, self._statistics, self._pictures.newest)

    def __enter__(self) -> PageServer:
        self._thread.start()
        self._started.wait(_STARTING_S)
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *exc: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_STOPPING_S)
        self._socket.close()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:  # raised again where the server is entered
            self._error = error
            self._logger.exception("the server ended")
        finally:
            self._started.set()
            self._pictures.close()
            self._loop.close()

    async def _serve(self) -> None:
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            logger=self._logger,
            keepalive_timeout=15,
            shutdown_timeout=1,
        )
        await runner.setup()
        server = runner.server
        assert server is not None

        def bounded() -> asyncio.BaseProtocol:
            return server() if len(server.connections) < _MOST_CONNECTIONS else _Refusal()

        listening = await self._loop.create_server(bounded, sock=self._socket)
        self._started.set()
        await self._stopping.wait()
        listening.close()
        await self._viewers.close()
        await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(
            middlewares=[self._guard], client_max_size=_LARGEST_REQUEST_BYTES
        )
        application.add_routes(
            [
                web.get("/", self._page),
                web.get("/page.css", self._page),
                web.get("/page.js", self._page),
                web.post("/login", self._login),
                web.get("/live", self._viewers.serve),
                web.get("/api/answer", self._answer),
                web.get("/api/snapshot.jpg", self._snapshot),
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._health),
            ]
        )
        application.on_response_prepare.append(_add_headers)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who asks, before what is asked."""
        access = self._access
        host = request.headers.get("Host")
        if not access.knows_host(host):
            raise web.HTTPMisdirectedRequest(text="This is not the address of this page.\n")
        if not access.is_own_origin(request.headers.get("Origin"), host):
            raise web.HTTPForbidden(text="Another page may not ask this one.\n")
        credentials = request.cookies.get(COOKIE), request.headers.get("Authorization")
        if request.path not in _OPEN_PATHS and not access.lets_in(*credentials):
            if request.path == "/":
                return _text(self._login_page, "text/html", status=401)
            raise web.HTTPUnauthorized(
                text="Give the token: Authorization: Bearer TOKEN\n",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    async def _page(self, request: web.Request) -> web.Response:
        name = request.path.strip("/") or "page.html"
        return _text(self._files[name], _TYPES[name.rpartition(".")[2]])

    async def _login(self, request: web.Request) -> web.Response:
        """A wrong token costs a second, one after the other."""
        if self._logins >= _MOST_LOGINS:
            raise web.HTTPTooManyRequests(text="Too many attempts. Try again in a minute.\n")
        form = parse_qs((await request.read()).decode("ascii", "replace"))
        token = form.get("token", [""])[0]
        self._logins += 1
        try:
            async with self._login_turn:
                if not self._access.is_token(token):
                    await asyncio.sleep(_WRONG_TOKEN_WAIT_S)
                    return _text(self._login_page, "text/html", status=401)
        finally:
            self._logins -= 1
        response = web.Response(status=303, headers={"Location": "/"})
        session = self._access.session
        response.set_cookie(COOKIE, session, httponly=True, samesite="Strict", path="/")
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self.status())

    async def _snapshot(self, request: web.Request) -> web.Response:
        newest = self._pictures.newest
        if newest is None:
            raise web.HTTPServiceUnavailable(text="No frame has been answered yet.\n")
        data = await self._pictures.snapshot(newest, request.query.get("outlines") != "0")
        name = f'attachment; filename="edgevit-{newest.frame.number}.jpg"'
        headers = {"Content-Disposition": name}
        return web.Response(body=data, content_type="image/jpeg", headers=headers)

    async def _metrics(self, request: web.Request) -> web.Response:
        del request
        text = prometheus(self._about, self._statistics, self.viewers)
        content_type = "text/plain; version=0.0.4; charset=utf-8"
        return web.Response(body=text.encode(), headers={"Content-Type": content_type})

    async def _health(self, request: web.Request) -> web.Response:
        del request
        now = state(self._statistics)
        age = round(self._statistics.since_answer_s, 3)
        content = {"status": now, "last_answer_age_s": age}
        return web.json_response(content, status=200 if now == "live" else 503)


class _Refusal(asyncio.Protocol):
    """Hangs up: there are too many connections."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class _OneLine(logging.Handler):
    """Says what went wrong here; what went wrong at the other end is not worth a line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            self._say(f"page: {record.getMessage()}: {error!r}")


def _logger(say: Callable[[str], None]) -> logging.Logger:
    logger = logging.Logger("edgevit.page")
    logger.addHandler(_OneLine(say))
    return logger


def _listening(access: Access) -> socket.socket:
    """Bound here, so that an address in use is an error before anything starts."""
    host, port = access.listen.host, access.listen.port
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


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers.update(_HEADERS)


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def _text(text: str, content_type: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type=content_type, charset="utf-8", status=status)

"""The page: a small web server in a thread of its own (aiohttp).

Nothing that a request says becomes a path: the page's files are read once, at the start, and every
route is fixed. Connections, viewers, request sizes and what is buffered for a viewer are bounded.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from importlib import resources
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.typedefs import Handler

from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.outputs.annotator import Annotator
from edgevit_runtimes.live.page.access import COOKIE, Access
from edgevit_runtimes.live.page.attempts import Attempts
from edgevit_runtimes.live.page.connections import Connections, cancel_others, listening_on
from edgevit_runtimes.live.page.logs import errors_of_this_thread, logger_of
from edgevit_runtimes.live.page.metrics import Metrics
from edgevit_runtimes.live.page.own_address import own_address
from edgevit_runtimes.live.page.page_pictures import NewestPictures, Snapshot
from edgevit_runtimes.live.page.viewers import Viewers
from edgevit_runtimes.live.statistics import Statistics
from edgevit_runtimes.live.status import About, state, status

_MOST_CONNECTIONS = 128
_BACKLOG = 256  # connections that the system accepts before we do
_LARGEST_REQUEST_BYTES = 4096
_STARTING_S, _STOPPING_S = 10.0, 5.0
_LOGIN_S = 5.0  # for sending a few bytes
_MOST_SNAPSHOTS = 4  # on their way at once, each a frame's worth of bytes
_SNAPSHOT_S = 20.0
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
        self._say, self._logger = say, logger_of(say)
        self._annotator = annotator
        self._files = {name: _read(name) for name in ("page.html", "page.css", "page.js")}
        self._login_page = _read("login.html")
        self._loop = asyncio.new_event_loop()
        self._pictures = NewestPictures(annotator, self._loop)
        self._viewers = Viewers(self._pictures, partial(self.status, pixels=False))
        self._attempts = Attempts(access.is_token)
        self._connections = Connections(_MOST_CONNECTIONS)
        self._snapshots = 0
        self._metrics = Metrics(about, statistics, lambda: self.viewers)
        self._socket = listening_on(access.listen)
        self._stopping = asyncio.Event()
        self._started = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    @property
    def url(self) -> str:
        """Where to open the page; of a page on all addresses, one that a phone can open."""
        host, port = self._socket.getsockname()[:2]
        if self._access.listen.is_everywhere:
            host = own_address()
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    @property
    def viewers(self) -> int:
        return self._viewers.count

    def publish(self, observation: Observation) -> None:
        """Makes this the newest; costs next to nothing where nobody looks."""
        self._pictures.publish(observation)

    def status(self, pixels: bool = True) -> dict[str, object]:
        return status(self._about, self._statistics, self._pictures.newest, pixels)

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
        with errors_of_this_thread(self._say):
            try:
                self._loop.run_until_complete(self._serve())
            except Exception as error:  # raised again where the server is entered
                self._error = error
                self._logger.exception("the server ended")
            finally:
                self._started.set()
                self._loop.run_until_complete(cancel_others())
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

        listening = await self._loop.create_server(
            lambda: self._connections.guard(server()), sock=self._socket, backlog=_BACKLOG
        )
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
                web.get("/metrics", self._prometheus),
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
        if access.is_asked_by_another_site(request.headers):
            raise web.HTTPForbidden(text="Another site may not ask this page.\n")
        if request.path in _OPEN_PATHS:
            return await handler(request)
        if not await self._lets_in(request):
            if request.path == "/":
                return _text(self._login_page, "text/html", status=401)
            raise web.HTTPUnauthorized(
                text="Give the token: Authorization: Bearer TOKEN\n",
                headers={"WWW-Authenticate": "Bearer"},
            )
        with self._connections.working(request.protocol):
            return await handler(request)

    async def _lets_in(self, request: web.Request) -> bool:
        if self._access.knows(request.cookies.get(COOKIE)):
            return True
        token = self._access.bearer(request.headers.get("Authorization"))
        return token is not None and await self._is_right(token, request)

    async def _is_right(self, token: str, request: web.Request) -> bool:
        return await self._attempts.is_right(
            token, request.remote, lambda: request.transport is not None
        )

    async def _page(self, request: web.Request) -> web.Response:
        name = request.path.strip("/") or "page.html"
        return _text(self._files[name], _TYPES[name.rpartition(".")[2]])

    async def _login(self, request: web.Request) -> web.Response:
        try:
            body = await asyncio.wait_for(request.read(), _LOGIN_S)
        except asyncio.TimeoutError:
            raise web.HTTPRequestTimeout(text="The token did not come.\n") from None
        token = parse_qs(body.decode("ascii", "replace")).get("token", [""])[0]
        if not await self._is_right(token, request):
            return _text(self._login_page, "text/html", status=401)
        response = web.Response(status=303, headers={"Location": "/"})
        session = self._access.session
        response.set_cookie(COOKIE, session, httponly=True, samesite="Strict", path="/")
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(self.status())

    async def _snapshot(self, request: web.Request) -> web.StreamResponse:
        if self._snapshots >= _MOST_SNAPSHOTS:
            busy = f"{_MOST_SNAPSHOTS} snapshots are on their way already.\n"
            raise web.HTTPServiceUnavailable(text=busy, headers={"Retry-After": "1"})
        self._snapshots += 1
        try:
            snapshot = await self._pictures.snapshot(request.query.get("outlines") != "0")
            if snapshot is None:
                raise web.HTTPServiceUnavailable(text="No frame has been answered yet.\n")
            return await _deliver(snapshot, request)
        finally:
            self._snapshots -= 1

    async def _prometheus(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.encoded(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _health(self, request: web.Request) -> web.Response:
        del request
        now = state(self._statistics)
        age = round(self._statistics.since_answer_s, 3)
        content = {"status": now, "last_answer_age_s": age}
        return web.json_response(content, status=200 if now == "live" else 503)


async def _deliver(snapshot: Snapshot, request: web.Request) -> web.StreamResponse:
    """Whoever does not fetch it is hung up on."""
    name = f'attachment; filename="edgevit-{snapshot.number}.jpg"'
    response = web.StreamResponse(headers={"Content-Disposition": name})
    response.content_type, response.content_length = "image/jpeg", len(snapshot.jpeg)
    try:
        await response.prepare(request)
        await asyncio.wait_for(response.write(snapshot.jpeg), _SNAPSHOT_S)
    except (asyncio.TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()  # what was not read is dropped with it
    return response


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers.update(_HEADERS)


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text(encoding="utf-8")


def _text(text: str, content_type: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type=content_type, charset="utf-8", status=status)

"""The page's server: who is let in, what it answers, and that viewers hold nothing up."""

from __future__ import annotations

import asyncio
import errno
import gc
import http.client
import json
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import cv2
import numpy as np
import pytest
from aiohttp.http_exceptions import BadHttpMessage
from prometheus_client.parser import text_string_to_metric_families

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.images.image_io import Image
from edgevit.inference.answers import Answer
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.live.feed import Feed
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.outputs.annotator import Annotator
from edgevit_runtimes.live.page.access import Access, Listen, make_token
from edgevit_runtimes.live.page.connections import Connections
from edgevit_runtimes.live.page.logs import logger_of
from edgevit_runtimes.live.page.own_address import own_address
from edgevit_runtimes.live.page.page_pictures import LONGEST_PX
from edgevit_runtimes.live.page.server import PageServer
from edgevit_runtimes.live.page.viewers import MOST_VIEWERS
from edgevit_runtimes.live.statistics import STAGES, Statistics
from edgevit_runtimes.live.status import About
from edgevit_runtimes.sources.capture_request import Orientation
from edgevit_runtimes.sources.frame import Frame
from edgevit_runtimes.sources.picture_source import PictureSource
from support.cameras import plain, wait_for

TOKEN = "a-token-of-the-tests"
ABOUT = About(
    model="lla_tiny",
    variant="float",
    runtime="onnxruntime",
    device='a "device"\nwith \\ in it',
    source="rtsp://10.0.0.5/live",
    trained=True,
    has_superpixels=True,
)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)


@dataclass
class Page:
    """A running server and what it shows."""

    server: PageServer
    statistics: Statistics
    number: int = field(default=0)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.server.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def observe(self, picture: Image, share: float = 0.75) -> Observation:
        resized = cv2.resize(picture, (160, 160))
        frame = Frame(picture, self.number, "cam", time.perf_counter_ns(), time.time(), 10, 20)
        answers = (Answer("tench", share), Answer("church", 1 - share))
        probabilities = np.array([share, 1 - share], np.float32)
        times_ns = (1000, 2000, 5000)
        observation = Observation(frame, answers, resized, None, *times_ns, probabilities)
        self.number += 1
        self.statistics.add(observation)
        self.server.publish(observation)
        return observation

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, given)
        response = connection.getresponse()
        reply = Reply(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return reply


@pytest.fixture(scope="module")
def annotator() -> Iterator[Annotator]:
    with Annotator(Bundle.open(PREBUILT_BUNDLE)) as annotator:
        yield annotator


def serving(
    annotator: Annotator,
    photo_folder: Path,
    token: str | None,
    say: Callable[[str], None] = print,
    listen: str = "127.0.0.1:0",
) -> Iterator[Page]:
    feed = Feed(lambda: PictureSource([photo_folder / "photo0.png"]), Orientation())
    statistics = Statistics(feed)
    access = Access(Listen.parse(listen), token)
    with PageServer(access, ABOUT, statistics, annotator, say) as server:
        yield Page(server, statistics)


@pytest.fixture
def page(annotator: Annotator, photo_folder: Path) -> Iterator[Page]:
    yield from serving(annotator, photo_folder, None)


@pytest.fixture
def locked(annotator: Annotator, photo_folder: Path) -> Iterator[Page]:
    yield from serving(annotator, photo_folder, TOKEN)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("8080", "127.0.0.1", 8080, True),
        ("127.0.0.1:1", "127.0.0.1", 1, True),
        ("127.8.9.1:1", "127.8.9.1", 1, True),
        ("localhost:80", "localhost", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("[::]:80", "::", 80, False),
        ("192.168.1.20:80", "192.168.1.20", 80, False),
        ("jetson:80", "jetson", 80, False),
        ("localhost.evil.org:80", "localhost.evil.org", 80, False),
    ],
)
def test_where_it_listens(text: str, host: str, port: int, loopback: bool) -> None:
    listen = Listen.parse(text)
    assert (listen.host, listen.port, listen.is_loopback) == (host, port, loopback)


@pytest.mark.parametrize("text", ["", "x", "127.0.0.1:", "127.0.0.1:99999", "a:b:80", "::1:80"])
def test_where_nothing_listens(text: str) -> None:
    with pytest.raises(InputError, match="HOST:PORT"):
        Listen.parse(text)


def test_another_address_needs_a_token() -> None:
    with pytest.raises(InputError, match="needs a token"):
        Access(Listen.parse("0.0.0.0:0"), None)
    with pytest.raises(InputError, match="at least 16"):
        Access(Listen.parse("0.0.0.0:0"), "short")
    assert len({make_token() for _ in range(9)}) == 9
    Access(Listen.parse("0.0.0.0:0"), make_token())


def hosts_known(listen: str) -> dict[str, bool]:
    access = Access(Listen.parse(listen), TOKEN)
    own = socket.gethostname()
    asked = ("127.0.0.1:99", "localhost", "[::1]:80", "10.0.0.9", "evil.org", f"{own}:8080", "")
    return {host: access.knows_host(host) for host in asked}


def test_the_host_header_names_this_machine() -> None:
    own = f"{socket.gethostname()}:8080"
    loopback = hosts_known("127.0.0.1:80")
    assert [host for host, known in loopback.items() if known and host != own] == [
        "127.0.0.1:99",
        "localhost",
        "[::1]:80",
    ]
    everywhere = hosts_known("0.0.0.0:80")
    assert not everywhere["evil.org"]
    assert not everywhere[""]
    assert everywhere[own]
    assert everywhere["10.0.0.9"], "a bare address cannot be rebound"


def test_a_page_on_all_addresses_prints_one_that_others_can_open(
    annotator: Annotator, photo_folder: Path
) -> None:
    """Not the one that it listens on: neither 0.0.0.0 nor a loopback address."""
    for page in serving(annotator, photo_folder, TOKEN, listen="0.0.0.0:0"):
        host, _ = page.address
        assert not Listen(host, 80).is_everywhere
        assert not Listen(host, 80).is_loopback
        assert page.ask("/").status == 401, "it can be opened, and asks for the token"


def test_a_machine_without_a_network_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*arguments: object) -> socket.socket:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", unreachable)
    assert own_address() == socket.gethostname()


def test_a_foreign_name_for_this_machine_is_refused(page: Page) -> None:
    """DNS rebinding: evil.org points at 127.0.0.1."""
    for path in ("/", "/api/answer", "/live", "/page.js", "/login"):
        assert page.ask(path, Host="evil.org").status == 421
    assert page.ask("/", Host="localhost:1234").status == 200, "a tunnel has another port"


def test_a_foreign_page_is_refused(page: Page) -> None:
    assert page.ask("/live", Origin="https://evil.org").status == 403
    assert page.ask("/api/answer", Origin="null").status == 403
    host, port = page.address
    assert page.ask("/api/answer", Origin=f"http://{host}:{port}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/page.html",
        "/static/page.js",
        "/api/snapshot.jpg/../../x",
        "/page.js%00",
    ],
)
def test_no_path_reaches_the_file_system(path: str, page: Page) -> None:
    reply = page.ask(path)
    assert reply.status in (400, 404)
    assert b"root:" not in reply.body


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\x1b[31m\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.org\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: [x\r\n\r\n", b"421"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\n\r\n", b"403"),
        (
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            b"Content-Type: multipart/form-data\r\n\r\nabcde",
            b"401",
        ),
        (
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            b"Content-Type: application/x-www-form-urlencoded; charset=none\r\n\r\n\xff\xfe=%f",
            b"401",
        ),
    ],
)
def test_nonsense_is_answered_and_not_logged(
    request_bytes: bytes, status: bytes, page: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(page.address) as connection:
        connection.settimeout(5)
        connection.sendall(request_bytes)
        assert connection.recv(4096).split()[1] == status
    assert capsys.readouterr() == ("", "")


def test_headers_forbid_what_the_page_does_not_do(page: Page) -> None:
    for path in ("/", "/nowhere", "/metrics"):
        headers = page.ask(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
    body = page.ask("/").body + page.ask("/page.js").body + page.ask("/page.css").body
    assert b"http" not in body.replace(b'"https:"', b""), "no external assets"


def test_before_the_first_answer(page: Page) -> None:
    assert page.ask("/api/answer").json["answer"] is None
    assert page.ask("/api/snapshot.jpg").status == 503
    assert page.ask("/healthz").json["status"] == "live"


def test_the_answer_as_json(page: Page) -> None:
    page.observe(plain((1, 2, 3)))
    content = page.ask("/api/answer").json
    assert content["answer"]["answers"][0] == {
        "label": "tench",
        "probability": 0.75,
        "share": 0.75,  # its former name, until 0.3
    }
    assert content["frames"]["answered"] == 1
    assert (content["model"], content["source"]) == ("lla_tiny", "rtsp://10.0.0.5/live")


def test_metrics_are_what_prometheus_reads(page: Page) -> None:
    for _ in range(3):
        page.observe(plain((1, 2, 3)))
    reply = page.ask("/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {f.name: f for f in text_string_to_metric_families(reply.body.decode())}
    frames = {s.labels["state"]: s.value for s in families["edgevit_frames"].samples}
    assert frames["answered"] == 3
    (info,) = families["edgevit_info"].samples
    assert info.labels["device"] == ABOUT.device, "quotes and line breaks are escaped"
    latency = families["edgevit_answer_latency_seconds"]
    assert latency.type == "summary"
    by_name = {s.name.rpartition("_")[2]: s.value for s in latency.samples}
    assert by_name["count"] == 3
    assert by_name["sum"] == pytest.approx(15e-6)
    assert families["edgevit_reconnects"].samples[0].value == 0
    stages = {s.labels["stage"] for s in families["edgevit_stage_seconds"].samples}
    assert stages == set(STAGES)


def test_metrics_in_the_format_that_is_asked_for(page: Page) -> None:
    reply = page.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text")
    assert reply.body.endswith(b"# EOF\n")


def test_health(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.observe(plain((1, 2, 3)))
    assert page.ask("/healthz").status == 200
    page.statistics.feed.connected = False
    reply = page.ask("/healthz")
    assert (reply.status, reply.json["status"]) == (503, "reconnecting")
    page.statistics.feed.connected = True
    monkeypatch.setattr("edgevit_runtimes.live.status.HEALTHY_S", 0.0)
    reply = page.ask("/healthz")
    assert (reply.status, reply.json["status"]) == (503, "stalled")


def test_snapshots_for_those_who_hung_up(page: Page, annotator: Annotator) -> None:
    """The frame of each of them was kept until it was drawn: 1.6 GiB at 4K."""
    frames: list[weakref.ref[Image]] = []
    drawing, go_on, real = threading.Event(), threading.Event(), annotator.draw

    def draw(*arguments: object, **options: object) -> Image:
        drawing.set()
        assert go_on.wait(30)
        return real(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annotator, "draw", draw)
        for i in range(40):
            picture = np.full((48, 64, 3), i, np.uint8)
            frames.append(weakref.ref(picture))
            page.observe(picture)
            del picture
            with socket.create_connection(page.address) as connection:
                connection.sendall(b"GET /api/snapshot.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert drawing.wait(10)
        assert page.ask("/healthz").status == 200, "all of them were read"
        gc.collect()
        assert sum(frame() is not None for frame in frames) <= 3
        go_on.set()
        wait_for(lambda: page.ask("/api/snapshot.jpg").status == 200, "room for a snapshot")


def test_snapshots_that_nobody_fetches(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those on their way are few, and given up in time."""
    monkeypatch.setattr("edgevit_runtimes.live.page.server._SNAPSHOT_S", 0.5)
    page.observe(np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8))
    held = []
    for _ in range(6):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(page.address)
        one.sendall(b"GET /api/snapshot.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        held.append(one)
    held[5].settimeout(20)
    assert held[5].recv(4096).split()[1] == b"503"
    wait_for(lambda: page.ask("/api/snapshot.jpg").status == 200, "room for a snapshot")
    for one in held:
        one.close()


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_picture_on_a_foreign_page(site: str, page: Page) -> None:
    """An <img> has no Origin. Other ports of this machine are the same site, but not us."""
    page.observe(plain((1, 2, 3)))
    fetched = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    for path in ("/api/snapshot.jpg", "/api/answer", "/metrics", "/page.css", "/live"):
        assert page.ask(path, **fetched, **{"Sec-Fetch-Site": site}).status == 403
    framed = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert page.ask("/", **framed, **{"Sec-Fetch-Site": site}).status == 403
    link = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert page.ask("/", **link, **{"Sec-Fetch-Site": site}).status == 200
    for own in ("same-origin", "none"):
        assert page.ask("/api/snapshot.jpg", **fetched, **{"Sec-Fetch-Site": own}).status == 200


def test_the_end_is_quiet(
    annotator: Annotator, photo_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Up to 214 lines of asyncio about connections that were open then."""
    said: list[str] = []
    for page in serving(annotator, photo_folder, TOKEN, said.append):
        page.observe(np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8))
        held = [socket.create_connection(page.address) for _ in range(60)]
        for place, one in enumerate(held):
            path, token = ("/api/snapshot.jpg", TOKEN) if place % 2 else ("/metrics", "guess")
            one.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {token}\r\n\r\n".encode()
            )
        for one in held[:20]:
            one.close()
        login(page, TOKEN)
    gc.collect()
    assert said == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (asyncio.InvalidStateError("invalid state"), []),  # aiohttp's own, at the end of a server
        (BadHttpMessage("no HTTP"), []),
        (ValueError("ours"), ["page: Unhandled exception: ValueError('ours')"]),
    ],
)
def test_what_goes_wrong_here_is_a_line(error: Exception, lines: list[str]) -> None:
    said: list[str] = []
    logger_of(said.append).error("Unhandled exception", exc_info=error)
    assert said == lines


def test_a_snapshot_has_the_size_of_the_frame(page: Page, photos: list[Image]) -> None:
    big = cv2.resize(photos[0], (2000, 1500))
    page.observe(big)
    outlined, bare = (page.ask(f"/api/snapshot.jpg?outlines={n}") for n in (1, 0))
    assert outlined.headers["Content-Type"] == "image/jpeg"
    assert 'filename="edgevit-0.jpg"' in outlined.headers["Content-Disposition"]
    pictures = [cv2.imdecode(np.frombuffer(r.body, np.uint8), 1) for r in (outlined, bare)]
    assert pictures[0].shape == (1500, 2000, 3)
    upper = slice(0, 700)  # above the caption
    source = cv2.cvtColor(big, cv2.COLOR_RGB2BGR).astype(int)
    changed = [(np.abs(p.astype(int) - source).max(-1)[upper] > 80).mean() for p in pictures]
    assert changed[0] > 0.01
    assert changed[1] < 0.001


def login(page: Page, token: str) -> Reply:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    return page.ask("/login", "POST", f"token={token}", **form)


class TestToken:
    """On another address than loopback; and on loopback, where one is given."""

    def test_nothing_is_shown_without_it(self, locked: Page) -> None:
        for path in ("/api/answer", "/metrics", "/healthz", "/live", "/page.js", "/nowhere"):
            assert locked.ask(path).status == 401
        reply = locked.ask("/")
        assert reply.status == 401
        assert b'name="token"' in reply.body
        assert locked.ask("/page.css").status == 200

    def test_a_program_sends_it(self, locked: Page) -> None:
        assert locked.ask("/metrics", Authorization=f"Bearer {TOKEN}").status == 200
        for wrong in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ", "Bearer \u00e9"):
            assert locked.ask("/metrics", Authorization=wrong).status == 401

    def test_a_person_gives_it_once(self, locked: Page) -> None:
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        reply = locked.ask("/login", "POST", f"token={TOKEN}", **form)
        assert (reply.status, reply.headers["Location"]) == (303, "/")
        cookie = reply.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        session = cookie.partition(";")[0]
        assert locked.ask("/", Cookie=session).status == 200
        assert locked.ask("/api/answer", Cookie=session).status == 200
        assert locked.ask("/api/answer", Cookie=session + "x").status == 401

    def test_guessing_is_slow_and_locks_nobody_out(
        self, locked: Page, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sixteen wrong logins at once locked out the right one, and were told so at once."""
        wait_s = 0.1
        monkeypatch.setattr("edgevit_runtimes.live.page.attempts._WRONG_WAIT_S", wait_s)
        replies: list[int] = []
        threads = [
            threading.Thread(target=lambda: replies.append(login(locked, "guess").status))
            for _ in range(16)
        ]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        assert login(locked, TOKEN).status == 303
        for thread in threads:
            thread.join()
        assert replies == 16 * [401]
        assert time.monotonic() - started >= 16 * wait_s, "one after the other"

    def test_a_crowd_that_guesses_is_judged_in_turn(
        self, locked: Page, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """More than are judged at once; those that hung up are not judged at all."""
        monkeypatch.setattr("edgevit_runtimes.live.page.attempts._WRONG_WAIT_S", 0.05)
        monkeypatch.setattr("edgevit_runtimes.live.page.attempts._MOST_WAITING", 2)
        guess = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\ntoken=guess"
        for _ in range(50):
            with socket.create_connection(locked.address) as connection:
                connection.sendall(guess)
        assert login(locked, TOKEN).status == 303

    def test_guesses_in_a_header_are_as_slow(
        self, locked: Page, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only those of the form were."""
        monkeypatch.setattr("edgevit_runtimes.live.page.attempts._WRONG_WAIT_S", 0.1)
        started = time.monotonic()
        for path in ("/metrics", "/", "/nowhere"):
            assert locked.ask(path, Authorization="Bearer guess").status == 401
        assert time.monotonic() - started >= 0.3

    def test_a_token_that_never_comes(self, locked: Page, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edgevit_runtimes.live.page.server._LOGIN_S", 0.2)
        with socket.create_connection(locked.address) as connection:
            connection.settimeout(10)
            connection.sendall(
                b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
            )
            assert connection.recv(4096).split()[1] == b"408"

    def test_a_long_body_is_refused(self, locked: Page) -> None:
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        assert locked.ask("/login", "POST", "token=" + "x" * 5000, **form).status == 413


def test_a_port_in_use_is_one_message(page: Page, annotator: Annotator) -> None:
    access = Access(Listen("127.0.0.1", page.address[1]), None)
    with pytest.raises(InputError, match="Address already in use"):
        PageServer(access, ABOUT, page.statistics, annotator)


async def viewer(page: Page) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
    session = aiohttp.ClientSession()
    return session, await session.ws_connect(f"{page.server.url}live", max_msg_size=0)


async def next_answer(
    connection: aiohttp.ClientWebSocketResponse, outlines: bool
) -> tuple[dict[str, object], Image | None]:
    await connection.send_json({"outlines": outlines})
    status = await connection.receive_json(timeout=10)
    if not status["has_picture"]:
        return status, None
    data = await connection.receive_bytes(timeout=10)
    return status, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_a_viewer_gets_the_newest_when_it_asks(page: Page, photos: list[Image]) -> None:
    async def watch() -> None:
        session, connection = await viewer(page)
        async with session:
            for _ in range(20):
                newest = page.observe(cv2.resize(photos[0], (1600, 1200)))
            status, picture = await next_answer(connection, outlines=True)
            assert status["answer"]["frame"] == newest.frame.number
            assert status["viewers"] == 1
            assert picture is not None
            assert picture.shape == (960, LONGEST_PX, 3)
            again = asyncio.create_task(next_answer(connection, outlines=False))
            await asyncio.sleep(0.1)
            assert not again.done(), "there is nothing newer"
            page.observe(photos[0])
            status, bare = await again
            assert status["answer"]["frame"] == newest.frame.number + 1
            assert bare is not None
            assert bare.shape == photos[0].shape
            status, nothing = await next_answer(connection, outlines=True)
            assert nothing is None, "after a second without a frame, the status alone"

    asyncio.run(watch())


@pytest.mark.parametrize("message", ["", "next", "[]", '{"outlines": 1}', "[" * 200, "x" * 300])
def test_a_viewer_that_talks_nonsense_is_hung_up_on(message: str, page: Page) -> None:
    async def talk() -> aiohttp.WSMsgType:
        session, connection = await viewer(page)
        async with session:
            await connection.send_str(message)
            return (await connection.receive(timeout=5)).type

    assert asyncio.run(talk()) in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert page.ask("/healthz").status == 200


def test_viewers_are_bounded(page: Page) -> None:
    async def crowd() -> int:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with session:
            url = f"{page.server.url}live"
            held = [await session.ws_connect(url) for _ in range(MOST_VIEWERS)]
            assert page.server.viewers == len(held)
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect(url)
            return error.value.status

    assert asyncio.run(crowd()) == 503
    until = time.monotonic() + 10
    while page.server.viewers:
        assert time.monotonic() < until, "those who left make room"
        time.sleep(0.05)


def was_hung_up_on(connection: socket.socket) -> bool:
    """A system resets a connection that is closed with something unread, else it ends it."""
    connection.settimeout(10)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_connections_that_say_nothing_make_room(page: Page) -> None:
    """200 of them kept everybody out for ten seconds and more."""
    held = [socket.create_connection(page.address) for _ in range(200)]
    for one in held[::2]:
        one.sendall(b"GET / HTTP/1.1\r\n")
    for _ in range(3):
        assert page.ask("/healthz").status == 200
    assert was_hung_up_on(held[0])  # the oldest
    for one in held:
        one.close()


def test_who_is_being_served_is_not_hung_up_on(page: Page) -> None:
    async def watch() -> None:
        session, connection = await viewer(page)
        async with session:
            held = [socket.create_connection(page.address) for _ in range(200)]
            page.observe(plain((1, 2, 3)))
            assert (await next_answer(connection, outlines=False))[1] is not None
            for one in held:
                one.close()

    asyncio.run(watch())


def test_connections_are_bounded(annotator: Annotator) -> None:
    ended: list[int] = []

    class Transport(asyncio.Transport):
        def abort(self) -> None:
            ended.append(id(self))

    connections = Connections(3)
    protocols = [asyncio.Protocol() for _ in range(5)]
    guarded = [connections.guard(protocol) for protocol in protocols]
    transports = [Transport() for _ in protocols]
    with ExitStack() as stack:
        for place in (0, 1, 2):
            guarded[place].connection_made(transports[place])
        for place in (0, 2):
            stack.enter_context(connections.working(protocols[place]))
        guarded[3].connection_made(transports[3])
        assert ended == [id(transports[1])], "the oldest that is idle"
        stack.enter_context(connections.working(protocols[3]))
        guarded[4].connection_made(transports[4])
        assert ended[1:] == [id(transports[4])], "all are at work"
    guarded[0].connection_lost(None)
    guarded[4].connection_made(transports[4])
    assert len(ended) == 2


def test_a_stuck_viewer_is_hung_up_on_and_holds_nothing_up(
    page: Page, photos: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for pictures and reads none."""
    monkeypatch.setattr("edgevit_runtimes.live.page.viewers._SEND_S", 0.5)
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1200, 3), np.uint8)
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(page.address)
    host = f"{page.address[0]}:{page.address[1]}"
    stuck.sendall(
        f"GET /live HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    wish = b'{"outlines":true}'
    masked = b"\x81" + bytes([0x80 | len(wish)]) + b"\0\0\0\0" + wish  # a mask of zeros
    stuck.sendall(masked * 50)
    until = time.monotonic() + 15
    seen = False
    while not seen or page.server.viewers:
        page.observe(noise)
        seen = seen or page.server.viewers == 1
        assert time.monotonic() < until, "it should have been hung up on"
        time.sleep(0.02)
    stuck.close()

    async def watch() -> None:
        session, connection = await viewer(page)
        async with session:
            page.observe(photos[0])
            assert (await next_answer(connection, outlines=True))[1] is not None

    asyncio.run(watch())

"""The page in a real browser: the picture moves, bars change, switches work, nothing complains."""

from __future__ import annotations

import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import cv2
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from edgevit.images import image_io
from support import begin
from support.browser import browser as start_browser
from support.browser import complaints
from support.cameras import free_port, mjpeg_camera, wait_for

pytestmark = pytest.mark.early

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    place = tmp_path_factory.mktemp("browser")
    with start_browser(place) as driver:
        driver.downloads = place  # type: ignore[attr-defined]
        yield driver


@pytest.fixture
def run_page(clip: Path) -> Iterator[Callable[..., str]]:
    """Starts ``edgevit run SOURCE --serve`` and gives the page's address."""
    processes: list[subprocess.Popen[str]] = []

    def start(source: object, *options: object) -> str:
        process = begin("run", source, *options, "--serve", "127.0.0.1:0")
        processes.append(process)
        assert process.stderr is not None
        return process.stderr.readline().removeprefix("page: ").strip()

    yield start
    for process in processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.fixture
def browser(chromium: webdriver.Chrome, run_page: Callable[..., str]) -> Iterator[webdriver.Chrome]:
    """Leaves the page before the run is ended, and asks for what was complained about."""
    chromium.get_log("browser")
    yield chromium
    chromium.get("about:blank")


def text_of(browser: webdriver.Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).text


def picture_of(browser: webdriver.Chrome) -> list[int]:
    """The shown picture, shrunk to 16 x 12 grey values by the browser itself, once it is whole."""
    return browser.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        const picture = document.getElementById("picture");
        const look = () => picture.complete && picture.naturalWidth ? done(values()) : later();
        const later = () => setTimeout(look, 5);
        const values = () => {
        const canvas = Object.assign(document.createElement("canvas"), {width: 16, height: 12});
        const context = canvas.getContext("2d");
        context.drawImage(picture, 0, 0, 16, 12);
        const data = context.getImageData(0, 0, 16, 12).data;
        return [...data].filter((_, i) => i % 4 === 1);
        };
        look();
        """
    )


def test_the_page_lives(
    browser: webdriver.Chrome, clip: Path, run_page: Callable[..., str]
) -> None:
    port = free_port()
    with mjpeg_camera(clip, port, "--frames", 60):
        source = f"http://me:s3cret@127.0.0.1:{port}/?key=s3cret"
        browser.get(run_page(source, "--variant", "float", "--unsure-below", 1))
        wait_for(lambda: text_of(browser, "#state") == "live", "the state")
        wait_for(lambda: len(text_of(browser, "#bars li:first-child .label")) > 2, "bars")
        bars = browser.execute_script(
            "return [...document.querySelectorAll('#bars li')]"
            ".map((bar) => [bar.className, bar.innerText.startsWith('unsure: ')])"
        )
        assert bars == [["unsure", True], ["", False], ["", False]]
        first, shares = picture_of(browser), text_of(browser, "#bars")
        wait_for(lambda: picture_of(browser) != first, "another picture")
        wait_for(lambda: text_of(browser, "#bars") != shares, "other shares")
        wait_for(lambda: float(text_of(browser, "#fps")) > 5, "answers a second")
        assert text_of(browser, "#source") == f"http://127.0.0.1:{port}/"
        assert text_of(browser, "#model").startswith("lla_tiny, float, onnxruntime")
        assert "ms" in text_of(browser, "#percentiles")
        assert text_of(browser, "#reconnects") == "0"
        drawn = browser.execute_script(
            "const c = document.getElementById('chart');"
            "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
        )
        assert drawn, "the latency chart"
        assert "s3cret" not in browser.page_source
        assert complaints(browser) == []


def edges(picture: list[int]) -> int:
    return sum(abs(a - b) for a, b in pairwise(picture))


def test_outlines_and_snapshot(
    browser: webdriver.Chrome, photo_folder: Path, run_page: Callable[..., str]
) -> None:
    """A picture that stands still changes only by the switch."""
    port = free_port()
    still = image_io.read(photo_folder / "photo0.png")[:240, :320]
    video = photo_folder.parent / "still.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    for _ in range(5):
        writer.write(still)
    writer.release()
    with mjpeg_camera(video, port):
        browser.get(run_page(f"http://127.0.0.1:{port}/"))
        wait_for(lambda: text_of(browser, "#answered") not in ("-", "0"), "answers")
        wait_for(lambda: max(picture_of(browser)) > 0, "a picture")
        outlined = edges(picture_of(browser))
        browser.find_element(By.ID, "outlines").click()
        wait_for(lambda: edges(picture_of(browser)) != outlined, "a picture without outlines")
        browser.find_element(By.ID, "outlines").click()
        wait_for(lambda: edges(picture_of(browser)) == outlined, "the outlines again")
        browser.find_element(By.ID, "snapshot").click()
        place = browser.downloads  # type: ignore[attr-defined]
        wait_for(lambda: list(place.glob("edgevit-*.jpg")), "the download")
        assert image_io.read(next(place.glob("edgevit-*.jpg"))).shape == (240, 320, 3)
        assert complaints(browser) == []


def test_a_phone_sees_it_without_scrolling_sideways(
    browser: webdriver.Chrome, clip: Path, run_page: Callable[..., str]
) -> None:
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(run_page(clip, "--fps", "10", "--duration", "6"))
    wait_for(lambda: text_of(browser, "#state") == "live", "the state")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    for control in ("label", ".button"):
        size = browser.find_element(By.CSS_SELECTOR, f".controls {control}").size
        assert size["height"] >= 44, "a finger hits it"
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert complaints(browser) == []


def test_the_token_is_asked_for_once(
    browser: webdriver.Chrome, clip: Path, run_page: Callable[..., str]
) -> None:
    address = run_page(clip, "--fps", "5", "--duration", "20", "--token", TOKEN)
    browser.get(address)
    browser.get_log("browser")  # the 401 of the first request is reported there
    browser.find_element(By.ID, "token").send_keys(TOKEN)
    browser.find_element(By.TAG_NAME, "button").click()
    wait_for(lambda: browser.find_elements(By.ID, "state"), "the page")
    wait_for(lambda: text_of(browser, "#state") == "live", "the state")
    browser.refresh()
    wait_for(lambda: text_of(browser, "#state") == "live", "the state, without asking again")
    assert complaints(browser) == []


def test_a_foreign_page_gets_no_picture(
    browser: webdriver.Chrome, clip: Path, tmp_path: Path, run_page: Callable[..., str]
) -> None:
    """As an <img> it needs no Origin; the browser says where it stands."""
    page = run_page(clip, "--fps", "2")
    (tmp_path / "foreign.html").write_text(f'<img id="stolen" src="{page}api/snapshot.jpg">')
    serve = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        browser.get(f"http://127.0.0.1:{server.server_port}/foreign.html")
        wait_for(
            lambda: browser.execute_script("return document.getElementById('stolen').complete"),
            "the picture to be refused",
        )
        server.shutdown()
    assert any("snapshot.jpg" in text for text in complaints(browser))
    with urllib.request.urlopen(f"{page}metrics") as metrics:
        assert b'stage_seconds_count{stage="drawing"} 0.0' in metrics.read(), "nothing was drawn"
    browser.get(page)
    wait_for(lambda: text_of(browser, "#state") == "live", "our own page")


@pytest.mark.parametrize(
    ("model", "first", "list_name"),
    [
        ("colour_detector", "red \N{MULTIPLICATION SIGN} 1", "Objects"),
        ("colour_segmenter", "other", "Areas of the classes"),
    ],
)
def test_masks_and_boxes_have_rows_in_their_colours(
    model: str,
    first: str,
    list_name: str,
    request: pytest.FixtureRequest,
    browser: webdriver.Chrome,
    moving: Path,
    run_page: Callable[..., str],
) -> None:
    """The first frame of the moving rectangles, again and again."""
    port = free_port()
    bundle, row = request.getfixturevalue(model), "#bars li:first-child .label"
    with mjpeg_camera(moving, port, "--frames", 1):
        browser.get(run_page(bundle, f"http://127.0.0.1:{port}/"))
        wait_for(
            lambda: [e.text for e in browser.find_elements(By.CSS_SELECTOR, row)] == [first],
            "rows",
        )
        wait_for(lambda: "ms" in text_of(browser, "#latency"), "the latency")
        assert not browser.find_element(By.ID, "outlines").is_displayed()
        assert browser.find_element(By.ID, "bars").get_attribute("aria-label") == list_name
        fills = browser.find_elements(By.CSS_SELECTOR, "#bars .fill")
        colours = {fill.value_of_css_property("background-color") for fill in fills}
        assert len(colours) == len(fills) >= 2
        assert complaints(browser) == []

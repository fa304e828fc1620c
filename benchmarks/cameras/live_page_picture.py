"""Takes the picture of the live page that the documentation shows.

    python benchmarks/cameras/live_page_picture.py docs/live-page.jpg

Serves a view that moves over a photograph of a cup of coffee (scikit-image, CC0), opens the page
in Chromium, and keeps what it shows. Needs Chromium with its driver, ffmpeg's codecs of OpenCV, and
the extras ``serve`` and ``dev``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

_FRAMES, _FPS, _VIEW = 1800, 30, (560, 380)
_WINDOW = (1120, 640)
_LONGEST_S = 60
_QUALITY = 82


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="a .jpg")
    output: Path = parser.parse_args().output
    with tempfile.TemporaryDirectory() as scratch:
        clip = _write_clip(Path(scratch) / "coffee.mp4")
        with _served(clip) as address, _chromium(Path(scratch)) as browser:
            picture = _picture_of(browser, address)
    if not cv2.imwrite(str(output), picture, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY)):
        raise OSError(f"cannot write {output}")
    print(f"{output}: {output.stat().st_size / 1024:.0f} KiB")


def _write_clip(path: Path) -> Path:
    """A minute of a view that moves slowly over the photograph, so that the page has frames."""
    import skimage.data

    coffee = skimage.data.coffee()  # type: ignore[no-untyped-call]
    photo = cv2.cvtColor(coffee, cv2.COLOR_RGB2BGR)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), _FPS, _VIEW)
    if not writer.isOpened():
        raise OSError(f"OpenCV cannot write {path}")
    width, height = _VIEW
    for i in range(_FRAMES):
        left = round(20 + 15 * np.sin(i / 40))
        writer.write(photo[10 : 10 + height, left : left + width])
    writer.release()
    return path


@contextmanager
def _served(clip: Path) -> Iterator[str]:
    """The address of the page of ``edgevit run`` while the block runs."""
    options = ("--serve", "127.0.0.1:0", "--fps", str(_FPS))
    command = (sys.executable, "-m", "edgevit", "run", clip.name, *options)
    with subprocess.Popen(command, cwd=clip.parent, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process.stderr.readline().removeprefix("page: ").strip()
        finally:
            process.terminate()


@contextmanager
def _chromium(scratch: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    width, height = _WINDOW
    for flag in (
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--window-size={width},{height}",
        f"--user-data-dir={scratch / 'profile'}",
    ):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def _picture_of(browser: webdriver.Chrome, address: str) -> cv2.typing.MatLike:
    """What the page shows once it has shown pictures for some seconds."""
    width, height = _WINDOW
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)
    shown = "const p = document.getElementById('picture'); return p && p.naturalWidth > 0"
    WebDriverWait(browser, _LONGEST_S).until(lambda b: b.execute_script(shown))
    browser.set_script_timeout(_LONGEST_S)
    browser.execute_async_script("setTimeout(arguments[0], 6000)")
    encoded = np.frombuffer(browser.get_screenshot_as_png(), np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


if __name__ == "__main__":
    main()

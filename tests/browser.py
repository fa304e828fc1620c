"""A real headless Chromium, driven over the WebDriver protocol; skipped where there is none."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One session of a browser."""

    def __init__(self, address: str, session: str) -> None:
        self._base = f"{address}/session/{session}"

    def open(self, url: str, width: int = 1000, height: int = 1200) -> None:
        _call("POST", f"{self._base}/window/rect", {"width": width, "height": height})
        _call("POST", f"{self._base}/url", {"url": url})

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        script = {"script": f"return {expression};", "args": []}
        return _call("POST", f"{self._base}/execute/sync", script)

    def console(self) -> list[str]:
        """What the page logged since the last call, errors of loading included."""
        entries = _call("POST", f"{self._base}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]

    def screenshot(self) -> bytes:
        return base64.b64decode(_call("GET", f"{self._base}/screenshot"))


@contextmanager
def browser(scratch: Path) -> Iterator[Browser]:
    """Starts a driver and a browser with a new profile, and ends both."""
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chromium is None:
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    process = subprocess.Popen(
        [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        address = f"http://127.0.0.1:{_port(process)}"
        options = {
            "binary": chromium,
            "args": [*_FLAGS, f"--user-data-dir={scratch / 'profile'}"],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = _call("POST", f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})
        try:
            yield Browser(address, session["sessionId"])
        finally:
            _call("DELETE", f"{address}/session/{session['sessionId']}")
    finally:
        process.terminate()
        process.wait()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"started successfully on port (\d+)", line):
            return int(found[1])
    raise AssertionError("chromedriver did not start")


def _call(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)["value"]

"""Annotated pictures in a window on this machine's display."""

from __future__ import annotations

import os
from collections.abc import Callable

import cv2

from edgevit.common.errors import InputError
from edgevit.common.installation.install_command import pip_install, uninstall
from edgevit.images.image_io import Image
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.outputs.annotator import shrunk

# The extra "display", in the place of the headless OpenCV and not beside it.
_WITH_WINDOWS = "opencv-python>=4.8,<6"
_QUIT_KEYS = {ord("q"), 27}
_LONGEST_PX = 1280  # of a window that opens; its user may draw it larger


class Window:
    """Opened, filled and closed in one thread, as graphics libraries want it.

    Args:
        closed: called when the user presses q or Escape, or closes the window.
    """

    def __init__(self, title: str, closed: Callable[[], None]) -> None:
        check_display()
        self._title, self._closed = title, closed
        self._sized = False

    def open(self) -> None:
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(self._title, flags)

    def show(self, observation: Observation, picture: Image) -> None:
        del observation
        if not self._sized:
            height, width = shrunk(picture, _LONGEST_PX).shape[:2]
            cv2.resizeWindow(self._title, width, height)
            self._sized = True
        cv2.imshow(self._title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        pressed = cv2.waitKey(1) & 0xFF
        shown = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        if pressed in _QUIT_KEYS or not shown:
            self._closed()

    def close(self) -> None:
        cv2.destroyAllWindows()


def check_display() -> None:
    """Whether a window can be shown.

    Raises:
        InputError: this OpenCV has no windows, or there is no display.
    """
    if "GUI:                           NONE" in cv2.getBuildInformation():
        raise InputError(
            "--show needs an OpenCV with windows; this is the headless one. Look at the page "
            "instead, --serve 127.0.0.1:8080, or exchange it: "
            f"{uninstall('opencv-python-headless')} && {pip_install()} --no-deps "
            f'"{_WITH_WINDOWS}"'
        )
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(
            "--show found no display (DISPLAY and WAYLAND_DISPLAY are not set). Over a network, "
            "look at the page instead: --serve 127.0.0.1:8080."
        )

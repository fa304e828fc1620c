"""What is asked of a camera, and how its pictures are turned."""

from __future__ import annotations

import math

import cv2
import numpy as np
from msgspec import Struct

from edgevit.common.errors import InputError
from edgevit.images.image_io import Image

_TURNS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
_LARGEST_SIDE_PX = 16_384


class CaptureRequest(Struct, frozen=True):
    """What a camera is asked for; None: what it prefers.

    size_px: width and height.
    fps: frames a second; a file is read at this pace instead of as fast as possible.
    pixel_format: four characters that the driver knows, such as MJPG or YUYV.
    """

    size_px: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: str | None = None

    def __post_init__(self) -> None:
        if self.size_px and not all(0 < side <= _LARGEST_SIDE_PX for side in self.size_px):
            raise InputError(
                f"--size got {self.size_px[0]}x{self.size_px[1]}; sides are 1 to "
                f"{_LARGEST_SIDE_PX} pixels."
            )
        if self.fps is not None and not (math.isfinite(self.fps) and 0 < self.fps <= 1000):
            raise InputError(f"--fps must be above 0 and at most 1000; got {self.fps:g}.")
        if self.pixel_format is not None and not _is_fourcc(self.pixel_format):
            raise InputError(
                f"--pixel-format got '{self.pixel_format}'; expected four characters such as MJPG "
                "or YUYV ('v4l2-ctl --list-formats' shows a webcam's)."
            )


class Orientation(Struct, frozen=True):
    """Turned clockwise by so many degrees, then mirrored left to right."""

    rotate: int = 0
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.rotate not in (0, *_TURNS):
            raise InputError(f"--rotate got {self.rotate}; expected 0, 90, 180 or 270 degrees.")

    def apply(self, picture: Image) -> Image:
        turned = cv2.rotate(picture, _TURNS[self.rotate]) if self.rotate else picture
        return np.asarray(cv2.flip(turned, 1) if self.mirror else turned, np.uint8)


def _is_fourcc(text: str) -> bool:
    return len(text) == 4 and text.isascii() and text.isprintable()

"""Pictures of masks: every class in a colour of its own, outlined, and a legend. OpenCV, numpy."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.images.drawn.caption_font import fitted_line
from edgevit.images.drawn.class_colours import class_colour
from edgevit.images.drawn.drawing import line_width_px
from edgevit.images.image_io import Image
from edgevit.zoo.tasks import VOID

_OPACITY = 0.5
_LIGHT, _DARK = (255, 255, 255), (20, 24, 28)
_LEAST_SHARE = 0.002  # of the picture: what is smaller is not in the legend
_MOST_ROWS = 12
_LEGEND_SHARE = 0.045  # of the picture's shorter side is a row of the legend high


def draw_mask(picture: Image, mask: NDArray[np.uint8], classes: Sequence[str]) -> Image:
    """The picture under its mask, uint8 RGB of the same size, with outlines and a legend.

    Args:
        picture: uint8 RGB [H, W, 3]. mask: uint8 [H, W], of the same size; 255 stays as it is.
        classes: their names, by place.
    """
    palette = np.zeros((256, 3), np.float32)
    palette[: len(classes)] = [class_colour(place) for place in range(len(classes))]
    known = (mask < len(classes))[:, :, None]
    mixed = picture * (1 - _OPACITY) + palette[mask] * _OPACITY
    drawn = np.where(known, mixed, picture).astype(np.uint8)
    edges = _edges(mask, line_width_px(picture))
    drawn[edges] = (drawn[edges] * 0.25 + np.array(_LIGHT) * 0.75).astype(np.uint8)
    return _with_legend(drawn, mask, classes)


def _edges(mask: NDArray[np.uint8], width_px: int) -> NDArray[np.bool_]:
    """bool [H, W]: pixels beside another class."""
    size = 2 * ((width_px + 1) // 2) + 1
    kernel = np.ones((size, size), np.uint8)
    kernel[: size // 2] = 0 if width_px == 1 else 1
    return np.asarray(cv2.dilate(mask, kernel) != cv2.erode(mask, kernel))


def _with_legend(drawn: Image, mask: NDArray[np.uint8], classes: Sequence[str]) -> Image:
    """Names of the classes that are there, in the upper left corner.

    In the order of the classes: by size, names would change places from frame to frame.
    """
    height, width = drawn.shape[:2]
    counts = np.bincount(mask.reshape(-1), minlength=256)[: min(len(classes), VOID)]
    places = [int(p) for p in np.argsort(-counts, kind="stable") if counts[p]]
    places = [p for p in places if counts[p] >= _LEAST_SHARE * mask.size]
    row_px = max(12, round(_LEGEND_SHARE * min(height, width)))
    places = sorted(places[: min(_MOST_ROWS, max(0, height // row_px - 1))])
    if not places:
        return drawn
    lines = [fitted_line(classes[place], width, row_px * 11) for place in places]
    plate_w = min(width, max(line.extent[0] for line in lines) + 3 * row_px)
    plate = drawn[: min(height, row_px * len(places) + row_px // 2), :plate_w]
    plate[:] = (plate * 0.35 + np.array(_DARK) * 0.65).astype(np.uint8)
    for number, (place, line) in enumerate(zip(places, lines, strict=True)):
        top = row_px // 4 + number * row_px
        corner, end = (row_px // 4, top + row_px // 6), (row_px, top + row_px * 5 // 6)
        cv2.rectangle(drawn, corner, end, class_colour(place), -1)
        line.draw(drawn, (row_px * 3 // 2, top + row_px * 3 // 4), _LIGHT)
    return drawn

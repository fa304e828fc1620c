"""Pictures of superpixels: outlines that can be read at any resolution. OpenCV and numpy."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.images.drawn.caption_font import fitted_line
from edgevit.images.image_io import Image
from edgevit.images.resizing import Rectangle, seen_part
from edgevit.zoo.interface.preprocess import Preprocess

_SMOOTHING = 8  # label maps are coarse; outlines are found on a map so many times finer
_MARGIN = 3  # cells around a superpixel that the smoothing of its outline looks at
_SPECK = 1.2  # outlines around fewer cells would only be noise
_BLUR = 0.7  # standard deviation, in cells
_TOLERANCE = 0.8  # how far a simplified outline may be from the fine one, in fine cells
_SUBPIXEL_BITS = 4
_LIGHT, _DARK = (255, 255, 255), (20, 24, 28)


def draw_superpixels(
    picture: Image, labels: NDArray[np.integer], preprocess: Preprocess | None = None
) -> Image:
    """The picture with the outlines of its superpixels, uint8 RGB of the same size.

    Args:
        picture: uint8 RGB [H, W, 3], any size and aspect.
        labels: [rows, columns], the model's superpixel map; it is stretched over what the model
            sees of the picture.
        preprocess: of the model, which says that; by default all of it.
    """
    drawn = picture.copy()
    height, width = picture.shape[:2]
    whole = Rectangle(0, 0, width, height)
    seen = whole if preprocess is None else seen_part(height, width, preprocess)
    left, top = max(0, seen.left), max(0, seen.top)
    part = drawn[top : seen.top + seen.height, left : seen.left + seen.width]
    corner = (seen.left - left, seen.top - top)
    width_px = line_width_px(picture)
    outlines = _outlines(labels, seen, corner, width_px)
    for colour, thickness in ((_DARK, 2 * width_px + 1), (_LIGHT, width_px)):
        cv2.polylines(part, outlines, True, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return drawn


def caption(label: str, probability: float, trained: bool, unsure: bool = False) -> str:
    """What stands on a picture; of an unsure model, or one that learned nothing, it says so."""
    text = f"{'unsure: ' if unsure else ''}{label} {100 * probability:.0f} %"
    return text if trained else f"untrained: {text}"


def draw_caption(picture: Image, text: str) -> Image:
    """The picture with a line of text in its lower left corner, on a dark plate."""
    drawn = picture.copy()
    height, width = picture.shape[:2]
    line = fitted_line(text, width, height)
    text_width, ascent, descent = line.extent
    margin = max(2, ascent // 2)
    top = max(0, height - ascent - descent - 2 * margin)
    plate = drawn[top:, : min(width, text_width + 2 * margin)]
    plate[:] = plate * 0.3 + np.array(_DARK) * 0.7
    line.draw(drawn, (margin, height - margin - descent), _LIGHT)
    return drawn


def line_width_px(picture: Image) -> int:
    """One pixel for a thumbnail, three for a full HD frame."""
    shorter_px = int(min(picture.shape[:2]))
    return max(1, round(shorter_px / 360))


def _outlines(
    labels: NDArray[np.integer], seen: Rectangle, corner: tuple[int, int], width_px: int
) -> list[NDArray[np.int32]]:
    """Smooth closed lines around every superpixel, in fixed-point pixels.

    Args:
        seen: what the labels are stretched over; corner: where its left and top are drawn.
        width_px: of the lines.
    """
    rows, columns = labels.shape
    # Padded by repeating the rim, outlines run out of the picture instead of along its edge.
    cell_px = min(seen.width / columns, seen.height / rows)
    pad = _MARGIN + math.ceil((2 * width_px + 1) / cell_px)
    padded = np.pad(labels, pad, mode="edge")
    fixed_point = 1 << _SUBPIXEL_BITS
    scale = np.array([seen.width / columns, seen.height / rows]) * fixed_point
    origin = np.array(corner) * fixed_point
    return [
        np.round((line - pad) * scale + origin).astype(np.int32)
        for label in np.unique(labels)
        for line in _contours(padded == label)
    ]


def _contours(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Smooth closed lines around the true cells, float64 [points, 1, (x, y)] in cells.

    Only the part of the mask that holds the superpixel is looked at: most of it is elsewhere.
    """
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    left, top = max(0, x - _MARGIN), max(0, y - _MARGIN)
    part = mask[top : y + height + _MARGIN, left : x + width + _MARGIN].astype(np.float32)
    coverage = cv2.GaussianBlur(part, (7, 7), _BLUR)
    fine = cv2.resize(coverage, None, fx=_SMOOTHING, fy=_SMOOTHING, interpolation=cv2.INTER_CUBIC)
    # A contour runs through the outermost pixels inside. One pixel more to the right and below, and
    # the contours of two neighbours run through the same pixels: one line, not two beside another.
    inside = cv2.dilate((fine > 0.5).astype(np.uint8), np.ones((2, 2), np.uint8), anchor=(1, 1))
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [
        cv2.approxPolyDP(contour, _TOLERANCE, True) / _SMOOTHING + (left, top)
        for contour in contours
        if cv2.contourArea(contour) > _SPECK * _SMOOTHING**2
    ]

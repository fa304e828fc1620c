"""Boxes on a picture: a colour for every class, a plate with name and score. OpenCV and numpy."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.images.drawn.caption_font import fitted_line
from edgevit.images.drawn.class_colours import class_colour
from edgevit.images.drawn.drawing import caption, line_width_px
from edgevit.images.image_io import Image

_DARK, _LIGHT = (20, 24, 28), (255, 255, 255)
_PLATE_SHARE = 0.16  # of the picture's width at most that a plate's text may take
_BRIGHT = 140  # text on a brighter colour than this is dark


def plate_texts(
    names: Sequence[str],
    scores: NDArray[np.float32],
    trained: bool,
    tracks: NDArray[np.int64] | None = None,
) -> list[str]:
    """``RBC 87 %``, of a tracked object ``3 RBC 87 %``; of an untrained model each says so."""
    if tracks is not None:
        names = [f"{track} {name}" for track, name in zip(tracks, names, strict=True)]
    return [caption(name, float(score), trained) for name, score in zip(names, scores, strict=True)]


def draw_boxes(
    picture: Image,
    boxes: NDArray[np.float32],
    labels: Sequence[int],
    texts: Sequence[str],
) -> Image:
    """The picture with boxes, uint8 RGB of the same size; the first box lies on top.

    Args:
        boxes: [N, 4], left, top, right, bottom in pixels of the picture, best first.
        labels: the class of each. texts: what stands on the plate of each.
    """
    drawn = picture.copy()
    rows = list(zip(boxes, labels, texts, strict=True))
    for box, label, _ in reversed(rows):
        _outline(drawn, box, class_colour(label))
    for box, label, text in reversed(rows):
        _plate(drawn, box, text, class_colour(label))
    return drawn


def _outline(drawn: Image, box: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    height, width = drawn.shape[:2]
    thickness = line_width_px(drawn) + 1
    left, top, right, bottom = (round(float(side)) for side in box)
    corner = (min(right, width - 1), min(bottom, height - 1))
    for each, wide in ((_DARK, thickness + 2), (colour, thickness)):
        cv2.rectangle(drawn, (left, top), corner, each, wide, cv2.LINE_AA)


def _plate(drawn: Image, box: NDArray[np.float32], text: str, colour: tuple[int, int, int]) -> None:
    """Above the box, or inside of it where there is no room above."""
    height, width = drawn.shape[:2]
    line = fitted_line(text, max(48, round(width * _PLATE_SHARE)), max(120, height // 2))
    text_width, ascent, descent = line.extent
    margin = max(1, ascent // 3)
    plate_width, plate_height = text_width + 2 * margin, ascent + descent + 2 * margin
    left = int(np.clip(round(float(box[0])), 0, max(0, width - plate_width)))
    above = round(float(box[1])) - plate_height
    top = int(np.clip(above if above >= 0 else round(float(box[1])), 0, height - 1))
    drawn[top : top + plate_height, left : left + plate_width] = colour
    bright = sum(share * part for share, part in zip((0.3, 0.59, 0.11), colour, strict=True))
    ink = _DARK if bright > _BRIGHT else _LIGHT
    line.draw(drawn, (left + margin, top + margin + ascent), ink)

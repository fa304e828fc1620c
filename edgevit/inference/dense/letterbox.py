"""From the model's square input back to the picture: the inverse of how a picture was resized.

A picture is squashed, cropped or letterboxed so that the input shows a rectangle of it
(:func:`edgevit.images.resizing.seen_part`; of a letterbox one that begins outside). For all three:

    x_picture = left + x_input * width / size,   y_picture = top + y_input * height / size
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.images.resizing import Rectangle, seen_part
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.tasks import VOID


def boxes_in_picture(
    boxes: NDArray[np.float32], height: int, width: int, preprocess: Preprocess
) -> NDArray[np.float32]:
    """Boxes in pixels of the input, [..., 4] left, top, right, bottom, as boxes in the picture.

    float32, cut off at the picture's edges.
    """
    seen = seen_part(height, width, preprocess)
    scale = np.array([seen.width, seen.height], np.float32) / preprocess.size_px
    corner = np.array([seen.left, seen.top], np.float32)
    corners = boxes.reshape(*boxes.shape[:-1], 2, 2) * scale + corner
    inside = np.clip(corners, 0, np.array([width, height], np.float32))
    return np.asarray(inside.reshape(boxes.shape), np.float32)


def mask_in_picture(
    mask: NDArray[np.uint8], height: int, width: int, preprocess: Preprocess
) -> NDArray[np.uint8]:
    """A mask of the input, uint8 [size, size], as one of the picture, uint8 [height, width].

    Nearest neighbour; 255 where a crop shows nothing of the picture.
    """
    seen = seen_part(height, width, preprocess)
    if seen == Rectangle(0, 0, width, height):
        return _nearest(mask, width, height)
    whole = np.full((height, width), VOID, np.uint8)
    stretched = _nearest(mask, seen.width, seen.height)
    top, left = max(0, seen.top), max(0, seen.left)
    bottom, right = min(height, seen.top + seen.height), min(width, seen.left + seen.width)
    part = stretched[top - seen.top : bottom - seen.top, left - seen.left : right - seen.left]
    whole[top:bottom, left:right] = part
    return whole


def _nearest(mask: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    size = (width, height)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)

"""Transparent pictures on white: what nobody sees does not decide the class."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.images.picture_formats import Header

_STRIP_BYTES = 16 << 20  # so much is computed at once; the rest waits


def on_white(picture: NDArray[Any], header: Header) -> NDArray[np.uint8]:
    """The colours over white: ``colour * alpha + white * (1 - alpha)``.

    Args:
        picture: [H, W], [H, W, 3] or [H, W, 4] of 8 or 16 bits, BGR and alpha, as OpenCV gives it.

    Returns:
        uint8 BGR [H, W, 3].
    """
    result = np.empty((*picture.shape[:2], 3), np.uint8)
    rows = max(1, _STRIP_BYTES // max(1, picture[0].nbytes))
    for top in range(0, len(picture), rows):
        result[top : top + rows] = _blended(picture[top : top + rows], header)
    return result


def _blended(picture: NDArray[Any], header: Header) -> NDArray[np.uint8]:
    white = int(np.iinfo(picture.dtype).max)
    colours = picture[..., :3] if picture.ndim == 3 else cv2.merge([picture] * 3)
    alpha = cv2.merge([_alpha(picture, header, white)] * 3)
    if not header.premultiplied:
        colours = cv2.multiply(np.ascontiguousarray(colours), alpha, scale=1 / white)
    blended = cv2.add(np.ascontiguousarray(colours), white - alpha)
    return np.asarray(cv2.convertScaleAbs(blended, alpha=255 / white), np.uint8)


def _alpha(picture: NDArray[Any], header: Header, white: int) -> NDArray[Any]:
    """[H, W] of the picture's type: its fourth channel, or by the one shade that is transparent."""
    if picture.ndim == 3 and picture.shape[2] == 4:
        return np.ascontiguousarray(picture[..., 3])
    opaque = np.full(picture.shape[:2], white, picture.dtype)
    if picture.ndim == 2 and header.transparent_grey is not None:
        opaque[picture == header.transparent_grey] = 0
    return opaque

"""A colour for every class, the same in masks, boxes and legends."""

from __future__ import annotations

import colorsys
from functools import cache

_GOLDEN = 0.61803398875  # turns of the hue that never come near each other
_FIRST_HUE = 0.58


@cache
def class_colour(place: int) -> tuple[int, int, int]:
    """RGB of a class by its place: bright, and unlike its neighbours'."""
    hue = (_FIRST_HUE + place * _GOLDEN) % 1
    value, saturation = (0.95, 0.75) if place % 2 else (0.85, 0.9)
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)

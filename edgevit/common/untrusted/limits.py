"""How large what comes from outside may be, unless somebody asks for more."""

from __future__ import annotations

DEFAULT_MAX_PIXELS = 128_000_000  # of a picture; above it is refused: a bomb, or a mistake
MOST_PIXELS = 1 << 30  # what OpenCV decodes at all

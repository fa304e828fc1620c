"""Names of classes in plots: in fonts that have their characters, and never as formulas."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgevit.common.untrusted.sanitize import printable

_DEFAULT = "DejaVu Sans"  # which matplotlib brings
_BOXES = "Last Resort"  # claims every character, and draws the name of its script in a box
_LONGEST = 40
_MISSING = "\N{REPLACEMENT CHARACTER}"


def shown(names: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Names as they can be drawn, and the style of text that draws them.

    A character that no installed font has is drawn as the replacement character.
    """
    cut = [_cut(printable(name)) for name in names]
    families, missing = _fonts_for({character for name in cut for character in name})
    table = {ord(character): _MISSING for character in missing}
    style = {"fontfamily": families, "parse_math": False}  # else a dollar sign begins a formula
    return [name.translate(table) for name in cut], style


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


@contextmanager
def quiet() -> Iterator[None]:
    """Without matplotlib's remarks about fonts and layouts, which are for programmers."""
    logger = logging.getLogger("matplotlib")
    former = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logger.setLevel(former)


def _fonts_for(characters: set[str]) -> tuple[list[str], set[str]]:
    """Families that have all characters together, and the characters that none has."""
    with quiet():
        from matplotlib.font_manager import findfont, fontManager

        families = [_DEFAULT]
        missing = characters - _of(findfont(_DEFAULT), characters)
        for font in fontManager.ttflist:
            if font.style != "normal" or font.name.startswith((_DEFAULT, _BOXES)):
                continue
            if not missing:
                break
            if found := _of(font.fname, missing):
                families.append(font.name)
                missing = missing - found
    return families, missing


def _of(file: str, characters: Iterable[str]) -> set[str]:
    """Those that the font has; none of a font that cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        known = FT2Font(file).get_charmap()
    except (OSError, RuntimeError):
        return set()
    return {character for character in characters if ord(character) in known}

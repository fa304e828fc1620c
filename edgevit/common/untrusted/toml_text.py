"""TOML that somebody else wrote: whatever is wrong with it is one ValueError."""

from __future__ import annotations

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_PARTS = 20  # of a key: tomllib takes time and memory with the square of their number
_PART = r"""(?:(?<![\w-])[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?:{_PART}[ \t]*\.[ \t]*){{{_MOST_PARTS}}}")


def parse_toml(text: str) -> dict[str, Any]:
    """The content of a TOML document.

    Raises:
        ValueError: it is none, or nested too deep to read; the place is named where it is known.
    """
    if too_long := _LONG_KEY.search(text):
        line = text.count("\n", 0, too_long.start()) + 1
        raise ValueError(f"a key has more than {_MOST_PARTS} parts (at line {line})")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # such as a number of more digits than Python converts
        raise ValueError("a number is too long, or a date is not valid") from error

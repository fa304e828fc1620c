"""What another machine says is material, not instructions: made harmless, and bounded."""

from __future__ import annotations

import re

_LONGEST_LINE = 400
# Control characters, escape sequences among them, and those that turn the direction of text.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """One line that a terminal shows as it is."""
    line = _HARMFUL.sub("", text.replace("\t", " ").replace("\n", " ").replace("\r", " "))
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."


def printable(text: str) -> str:
    """The same, lines and all, without what a terminal would obey."""
    return _HARMFUL.sub("", text)


def last_line(text: str) -> str:
    """The last that says something, which is where programs put their error."""
    lines = [line for line in map(harmless, text.splitlines()) if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"

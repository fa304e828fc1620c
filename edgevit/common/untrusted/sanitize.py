"""What another machine or file says is material, not instructions: made harmless, and bounded."""

from __future__ import annotations

import re

LONGEST_LINE = 400
_LONGEST_MESSAGE, _LONGEST_END = 2000, 500
# Control characters, escape sequences among them, those that turn the direction of text, and those
# that end a line where nobody sees it.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Halves of characters: what Python makes of a file name's bytes that are no UTF-8 (the upper half),
# or what a JSON file says. No output can encode them.
_SURROGATES = re.compile("[\ud800-\udfff]")


def harmless(text: str) -> str:
    """One line that a terminal shows as it is."""
    line = printable(text.replace("\t", " ").replace("\n", " ").replace("\r", " "))
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..."


def printable(text: str) -> str:
    """The same, lines and all, without what a terminal would obey; no UTF-8 becomes ``\\xff``."""
    return encodable(_HARMFUL.sub("", text))


def encodable(text: str) -> str:
    """The same as any file of text can hold it: a byte that is no UTF-8 becomes ``\\xff``."""
    return _SURROGATES.sub(_escaped, text)


def shortened(text: str) -> str:
    """A message without the middle of what was quoted at length: its end says what to do."""
    if len(text) <= _LONGEST_MESSAGE:
        return text
    start = _LONGEST_MESSAGE - _LONGEST_END
    left_out = len(text) - _LONGEST_MESSAGE
    return f"{text[:start]} ... ({left_out} characters) ... {text[-_LONGEST_END:]}"


def last_line(text: str) -> str:
    """The last that says something, which is where programs put their error."""
    lines = [line for line in map(harmless, text.splitlines()) if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    is_byte = 0xDC80 <= code <= 0xDCFF
    return f"\\x{code - 0xDC00:02x}" if is_byte else "\ufffd"

"""Passwords in addresses, kept out of what is shown.

Every character is looked at once: what is searched may be as long as an attacker likes.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"\S+")
_SEPARATOR = re.compile(r"[/:@'\"]")
_END_OF_SCHEME = re.compile(r"[a-z0-9+.-]:", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """``rtsp:/user:secret@host`` as ``rtsp:/***@host``, wherever it is in a text."""
    return _WORD.sub(lambda match: _hidden(match.group()), text) if "@" in text else text


def _hidden(word: str) -> str:
    """The word without a user and password before its last ``@``, if they are there."""
    before, _, host = word.rpartition("@")
    start = _start_of_user(before)
    return word if start is None else f"{before[:start]}***@{host}"


def _start_of_user(before: str) -> int | None:
    """Where ``user:secret`` begins; None where no colon parts a user from a password.

    A colon before a slash ends a scheme, unless the name after a scheme stands before it.
    """
    start, scheme_end = 0, -1
    for match in _SEPARATOR.finditer(before):
        place = match.start()
        if match.group() == ":" and (start == scheme_end or before[place + 1 : place + 2] != "/"):
            return start
        follows_scheme = _END_OF_SCHEME.fullmatch(before[max(0, place - 2) : place])
        if match.group() == "/" and (follows_scheme or place == scheme_end):
            scheme_end = place + 1
        start = place + 1
    return None

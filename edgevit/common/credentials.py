"""Passwords in addresses, kept out of what is shown."""

from __future__ import annotations

import re

_SCHEME = r"([a-z][a-z0-9+.-]*:/+)"
_USER = r"[^\s/:@'\"]*"
_USER_AND_PASSWORD = re.compile(rf"{_SCHEME}{_USER}:\S*@|{_USER}:(?!/)\S*@", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """``rtsp:/user:secret@host`` as ``rtsp:/***@host``, wherever it is in a text."""
    return _USER_AND_PASSWORD.sub(_hidden, text)


def _hidden(match: re.Match[str]) -> str:
    return f"{match.group(1) or ''}***@"

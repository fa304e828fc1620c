"""A machine that is reached over SSH: its address, and where edgevit keeps its things there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgevit.common.errors import InputError

DEFAULT_FOLDER = ".cache/edgevit-device"
_USER = r"(?:[A-Za-z0-9_][\w.-]*@)?"
_HOST = r"(?:[A-Za-z0-9_][\w.-]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+(?:%\w+)?)"
_ADDRESS = re.compile(rf"{_USER}{_HOST}|ssh://{_USER}{_HOST}(?::(?P<port>[0-9]{{1,5}}))?")
_LAST_PORT = 65535
_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,62}")
_FOLDER = re.compile(r"[\w./ +@-]*[\w+@-]")


@dataclass(frozen=True)
class Device:
    """A machine that is reached over SSH.

    host: ``user@address``, ``ssh://user@address:port``, or a name from the person's ssh config.
    folder: where edgevit keeps its things there; relative to the home folder, or absolute.
    """

    host: str
    folder: str = DEFAULT_FOLDER

    def __post_init__(self) -> None:
        matched = _ADDRESS.fullmatch(self.host)
        if not matched:
            raise InputError(
                f"{_without_password(self.host)[:80]!r} is no address; expected user@address, "
                "ssh://user@address:port, or a name from your ssh config."
            )
        if matched["port"] and not 1 <= int(matched["port"]) <= _LAST_PORT:
            raise InputError(
                f"{self.host[:80]!r} has port {matched['port']}; expected 1 to {_LAST_PORT}."
            )
        if not _FOLDER.fullmatch(self.folder) or self.folder.startswith("-"):
            raise InputError(
                f"{self.folder[:80]!r} is no folder for a device; letters, digits, spaces and "
                "any of ./+@_- may stand in it."
            )


def _without_password(host: str) -> str:
    """What a person typed, as an error may repeat it: a password is not for screens and logs."""
    return re.sub(r"\A((?:\w+://)?[^:@]*):.*@", r"\1:***@", host, flags=re.DOTALL)


def check_name(name: str) -> None:
    """Raises InputError for what is no name of a device or a fleet."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} is no name for a device; use letters, digits, - and _, such as jetson."
        )

"""Who may see the page: where it listens, the Host header, the token.

A page on a loopback address is for this machine's users. A web site that they visit must not read
it either: it could point its own name at 127.0.0.1 (DNS rebinding), so the Host header must be a
name of this machine, a WebSocket's Origin must be the page itself, and a request that the browser
says another site made (``Sec-Fetch-Site``), for a picture say, is refused. On any other address a
token is asked for once and remembered in a cookie.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from edgevit.common.errors import InputError

COOKIE = "edgevit_session"
_SHORTEST_TOKEN = 16
_LISTEN = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+):)?(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Listen:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Listen:
        """``8080``, ``127.0.0.1:8080``, ``[::1]:8080``, ``0.0.0.0:8080``.

        Raises:
            InputError: none of these.
        """
        match = _LISTEN.fullmatch(text)
        if match is None or int(match["port"]) > 65535:
            raise InputError(f"--serve got '{text}'; expected HOST:PORT such as 127.0.0.1:8080.")
        return cls((match["host"] or "127.0.0.1").strip("[]"), int(match["port"]))

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        address = _ip(self.host)
        return address is not None and address.is_loopback

    @property
    def is_everywhere(self) -> bool:
        """All addresses of this machine (0.0.0.0 or ::)."""
        address = _ip(self.host)
        return address is not None and address.is_unspecified


@dataclass(frozen=True)
class Access:
    """Decides about requests.

    token: what is asked for; None: nothing, on a loopback address.
    """

    listen: Listen
    token: str | None
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def __post_init__(self) -> None:
        if self.token is None and not self.listen.is_loopback:
            raise InputError(f"A page on {self.listen.host} needs a token.")
        if self.token is not None and len(self.token) < _SHORTEST_TOKEN:
            raise InputError(
                f"The token is too short ({len(self.token)}); at least {_SHORTEST_TOKEN} "
                "characters make it hard to guess. Leave it out, and edgevit makes one."
            )

    def knows_host(self, header: str | None) -> bool:
        """Whether a Host header names this machine; the port may differ behind a tunnel."""
        host = _hostname(header or "")
        if host is None:
            return False
        if self.listen.is_loopback:
            address = _ip(host)
            return host == "localhost" or (address is not None and address.is_loopback)
        # An attacker's page is reached by a name, so a bare address is never one.
        if host == self.listen.host.lower() or _ip(host) is not None:
            return True
        own = socket.gethostname().lower()
        return self.listen.is_everywhere and host in {"localhost", own, f"{own}.local"}

    def is_own_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a request comes from this page, or from no page at all."""
        return origin is None or _authority(origin) == (host or "").lower()

    def is_asked_by_another_site(self, headers: Mapping[str, str]) -> bool:
        """Whether a browser says that a page of another site asks, for a picture of ours, say.

        A link to the page itself may stand anywhere. Of older browsers nothing is known.
        """
        site = headers.get("Sec-Fetch-Site", "none")
        is_link = headers.get("Sec-Fetch-Mode") == "navigate"
        goes_to_a_tab = headers.get("Sec-Fetch-Dest", "document") == "document"
        return site not in ("none", "same-origin") and not (is_link and goes_to_a_tab)

    def knows(self, cookie: str | None) -> bool:
        """Whether nothing is asked for, or the cookie is that of a person who gave the token."""
        return self.token is None or _same(cookie or "", self.session)

    @staticmethod
    def bearer(authorization: str | None) -> str | None:
        """The token in ``Authorization: Bearer TOKEN``, as programs send it."""
        scheme, _, token = (authorization or "").partition(" ")
        return token if scheme.lower() == "bearer" else None

    def is_token(self, text: str) -> bool:
        return self.token is not None and _same(text, self.token)


def make_token() -> str:
    """One that nobody guesses, 128 bits."""
    return secrets.token_urlsafe(16)


def _same(a: str, b: str) -> bool:
    """In a time that does not tell where they differ."""
    return hmac.compare_digest(a.encode(errors="replace"), b.encode(errors="replace"))


def _authority(url: str) -> str | None:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return None


def _hostname(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None

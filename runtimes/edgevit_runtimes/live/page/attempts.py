"""Guessing a token is slow, and whoever guesses is the only one who waits for it."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable

_WRONG_WAIT_S = 0.25
_MOST_WAITING = 32


class Attempts:
    """Checks tokens as they are given, by a form or in a header.

    A right one is let in at once. A wrong one is answered after a quarter of a second, one after
    the other for all connections from one address, hung up on or not; of those that wait, so many
    were checked, and the others are checked in their turn. So an address can try four tokens a
    second, and others do not notice.
    """

    def __init__(self, is_right: Callable[[str], bool]) -> None:
        self._is_right = is_right
        self._addresses: dict[str, _Address] = {}

    async def is_right(
        self, token: str, remote: str | None, is_there: Callable[[], bool] = lambda: True
    ) -> bool:
        """Whether this is the token; False comes late.

        Args:
            remote: the address that it came from.
            is_there: whether somebody still waits for the answer.
        """
        key = _group(remote)
        address = self._addresses.setdefault(key, _Address())
        address.attempts += 1
        try:
            async with address.checks:
                if not is_there():
                    return False  # the token was not checked: nothing is learnt
                if self._is_right(token):
                    return True
                async with address.turn:
                    await asyncio.sleep(_WRONG_WAIT_S)
                return False
        finally:
            address.attempts -= 1
            if not address.attempts:
                del self._addresses[key]


class _Address:
    """attempts: that have not been answered."""

    def __init__(self) -> None:
        self.attempts = 0
        self.checks = asyncio.Semaphore(_MOST_WAITING)
        self.turn = asyncio.Lock()


def _group(remote: str | None) -> str:
    """An IPv4 address; of IPv6, the network of one subscriber."""
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:
        return ""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))

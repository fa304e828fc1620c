"""The address at which other machines of the network, a phone say, reach this one."""

from __future__ import annotations

import socket

# Addresses of the documentation ranges (RFC 5737, RFC 3849): nobody has them, and nothing is sent.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def own_address() -> str:
    """The address from which this machine would send to others; its name where it has none.

    Connecting a UDP socket sends nothing: the system only chooses the interface and its address.
    """
    for family, elsewhere in _ELSEWHERE:
        address = _source_address(family, elsewhere)
        if address is not None:
            return address
    return socket.gethostname()


def _source_address(family: socket.AddressFamily, elsewhere: str) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((elsewhere, 9))
            return str(asked.getsockname()[0])
    except OSError:  # no such network here
        return None

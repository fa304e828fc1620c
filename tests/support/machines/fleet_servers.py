"""Several real OpenSSH servers on loopback, each a device of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.machines.ssh_server import Loopback, loopback


@dataclass(frozen=True)
class FleetOfServers:
    """Servers by the name by which the client's one ssh config knows them."""

    base: Path
    servers: dict[str, Loopback]

    @property
    def ssh(self) -> str:
        """For ``EDGEVIT_SSH``."""
        return f"ssh -F {self.base / 'ssh_config'}"


@contextmanager
def fleet_of_servers(base: Path, names: Sequence[str]) -> Iterator[FleetOfServers]:
    with ExitStack() as stack:
        servers = {}
        for name in names:
            (base / name).mkdir()
            servers[name] = stack.enter_context(loopback(base / name))
        configs = [
            (server.base / "ssh_config").read_text().replace("Host loopback", f"Host {name}")
            for name, server in servers.items()
        ]
        (base / "ssh_config").write_text("\n".join(configs))
        yield FleetOfServers(base, servers)

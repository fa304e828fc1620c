"""What a device is, and which bundles are deployed on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevit.common.errors import DeviceError
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.common.untrusted.sanitize import harmless
from edgevit_runtimes.doctor.examination import examine_over_ssh
from edgevit_runtimes.doctor.machine_rows import machine_rows
from edgevit_runtimes.remote.runs import hello
from edgevit_runtimes.remote.ssh import Ssh


@dataclass(frozen=True)
class DeviceState(Result):
    """machine: as of ``edgevit doctor --json``. deployed: SHA-256 by slot; None before the first.

    edgevit: what is installed there, or why that is not known.
    """

    host: str
    edgevit: str
    machine: dict[str, Any]
    deployed: dict[str, str | None]

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def sections(self) -> list[Section]:
        rows = [("edgevit", self.edgevit), *machine_rows(self.machine)]
        rows += [
            (f"deployed, slot {s}", (sha or "nothing")[:12]) for s, sha in self.deployed.items()
        ]
        return [Table(self.host, ("what", "found"), rows)]


def show_device(ssh: Ssh) -> DeviceState:
    """
    Raises:
        DeviceError: it cannot be reached.
    """
    machine = examine_over_ssh(ssh).found["machine"]
    try:
        there = hello(ssh)
    except DeviceError as error:
        return DeviceState(ssh.device.host, harmless(str(error)), machine, {})
    said = there.get("deployed")
    deployed = said.items() if isinstance(said, dict) else ()
    known = {harmless(str(slot)): sha and harmless(str(sha)) for slot, sha in deployed}
    return DeviceState(ssh.device.host, harmless(str(there.get("edgevit"))), machine, known)

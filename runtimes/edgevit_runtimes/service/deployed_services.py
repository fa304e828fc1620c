"""Services that run what was deployed: after a switch they have to open it anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgevit.common.errors import DeviceError
from edgevit.common.storage.files import resolved
from edgevit.common.untrusted.bounded import read_text
from edgevit_runtimes.service.systemd import is_active, restart
from edgevit_runtimes.service.unit_file import bundle_of_unit, installed_services, unit_path

_MOST_UNIT_BYTES = 1 << 16


@dataclass(frozen=True)
class ServiceOfSlot:
    """A service whose bundle is a deployed one. reason: why it failed."""

    name: str
    done: Literal["restarted", "not running", "left running", "failed"]
    reason: str = ""


def services_of(link: Path) -> list[str]:
    """Names of the services that run the bundle to which a link such as ``current`` points."""
    wanted = _place(link)
    found = []
    for name in installed_services():
        bundle = bundle_of_unit(read_text(unit_path(name), _MOST_UNIT_BYTES, "unit"))
        if bundle is not None and _place(bundle) == wanted:
            found.append(name)
    return found


def after_switch(link: Path, restart_them: bool) -> list[ServiceOfSlot]:
    """Restarts the services of a link that run; those that do not will open the new bundle."""
    return [_after_switch(name, restart_them) for name in services_of(link)]


def _after_switch(name: str, restart_it: bool) -> ServiceOfSlot:
    try:
        if not is_active(name):
            return ServiceOfSlot(name, "not running")
        if not restart_it:
            return ServiceOfSlot(name, "left running")
        restart(name)
    except DeviceError as error:
        return ServiceOfSlot(name, "failed", str(error))
    return ServiceOfSlot(name, "restarted")


def _place(link: Path) -> Path:
    """The link itself, not what it points to, whichever way its folder was named."""
    return resolved(link.parent) / link.name

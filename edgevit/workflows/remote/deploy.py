"""A bundle on devices: copied once, verified there, and made current in one step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import CheckFailedError, DeviceError, EdgevitError, InputError
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import Result
from edgevit.common.schema import typed
from edgevit.common.tables import Section, Table
from edgevit.workflows.remote.fleet import (
    failure_document,
    failure_lines,
    on_all,
    require_all,
    require_hosts,
)
from edgevit.workflows.remote.host_work import bundle_job
from edgevit.workflows.remote.time_limits import deploy_limit_s
from edgevit_runtimes.deployment.deployment_slot import DEFAULT_SLOT, Version, refuse_slot_name
from edgevit_runtimes.remote.device_list import hosts_of
from edgevit_runtimes.remote.runs import NO_BUNDLE, Follower, hello, work_there
from edgevit_runtimes.remote.ssh import connection
from edgevit_runtimes.service.deployed_services import ServiceOfSlot
from edgevit_runtimes.service.unit_file import unit_name

_COLUMNS = ("device", "state", "current", "before", "versions kept")
_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Deployed:
    """What a device uses now.

    current, before: the SHA-256 of a bundle's manifest; ``before`` is None the first time.
    path: of the link that programs there open. removed: bundles that were deleted there.
    services: those of ``edgevit service`` that run what the link names.
    """

    current: str
    path: str
    versions: tuple[Version, ...]
    before: str | None
    removed: tuple[str, ...]
    services: tuple[ServiceOfSlot, ...] = ()

    @property
    def failed_services(self) -> list[str]:
        return [service.name for service in self.services if service.done == "failed"]

    @property
    def changed(self) -> bool:
        return self.current != self.before


@dataclass(frozen=True)
class DeployResult(Result):
    """By device: what it uses now, or why the deployment failed there, which changed nothing."""

    model: str
    slot: str
    devices: Mapping[str, Deployed | EdgevitError]

    @property
    def holds(self) -> bool:
        failed = any(isinstance(each, EdgevitError) for each in self.devices.values())
        return not failed and not self._without_service

    @property
    def _without_service(self) -> dict[str, list[str]]:
        """By device: the services that could not be restarted."""
        done = {host: each for host, each in self.devices.items() if isinstance(each, Deployed)}
        return {host: each.failed_services for host, each in done.items() if each.failed_services}

    def require(self) -> None:
        """
        Raises:
            EdgevitError: the one device's own. CheckFailedError: some of several failed, or a
                service could not be restarted.
        """
        only = next(iter(self.devices.values()))
        if len(self.devices) == 1 and isinstance(only, EdgevitError):
            raise only
        require_all(self.devices, "The deployment")
        if failed := self._without_service:
            listed = "; ".join(f"{host}: {', '.join(names)}" for host, names in failed.items())
            raise CheckFailedError(f"The bundle is current, but services do not run it: {listed}.")

    def to_dict(self) -> dict[str, Any]:
        devices = {
            host: failure_document(each)
            if isinstance(each, EdgevitError)
            else {**asdict(each), "changed": each.changed}
            for host, each in self.devices.items()
        }
        return {"model": self.model, "slot": self.slot, "holds": self.holds, "devices": devices}

    def sections(self) -> list[Section]:
        done = {h: each for h, each in self.devices.items() if isinstance(each, Deployed)}
        rows = [_row(host, deployed) for host, deployed in done.items()]
        table = Table(f"{self.model}, slot {self.slot}", _COLUMNS, rows, _COLUMNS[4:5])
        services = [line for host, each in done.items() for line in _service_lines(host, each)]
        changed: list[Section] = [table, *_links(done), *services] if done else []
        # The error of one device alone ends the command (:meth:`require`), which says it then.
        return [*changed, *(failure_lines(self.devices) if len(self.devices) > 1 else ())]


def deploy(
    bundle: Bundle | str | os.PathLike[str],
    host: str | Sequence[str] = (),
    *,
    fleet: str | None = None,
    slot: str = DEFAULT_SLOT,
    keep: int = 3,
    force: bool = False,
    restart_service: bool = True,
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> DeployResult:
    """Brings a bundle onto devices and makes it the one that they use.

    On each: it is sent unless it lies there, by its SHA-256; every variant that opens there is
    verified; then the link ``deployed/SLOT/current`` is switched by one rename. Where verification
    fails, ``current`` stays. Services of ``edgevit service`` that run the link are restarted, so
    that they open the new bundle. Deployments to one slot wait for each other.

    Args:
        bundle: an opened bundle, or its path.
        host: ``user@address`` or a name of ``edgevit devices add``, or several of them.
        fleet: a name of ``edgevit devices fleet``.
        slot: for devices with more than one model.
        keep: how many versions stay on a device, the new one among them; 1 or more.
        force: verify again what is current already.
        restart_service: restart the running services that have the link as their bundle.
        timeout_s: give a device up after so long; None: as long as the slowest one needs.

    Returns:
        What each device uses now, or its error; :meth:`DeployResult.require` raises.

    Raises:
        InputError: no device is given, or an option cannot be used.
        BundleError: the bundle cannot be opened.
    """
    if keep < 1:
        raise InputError(f"--keep is 1 or more versions; got {keep}.")
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(Path(bundle))
    opened.reference()  # a bundle that is damaged here is not sent anywhere
    options = {"slot": slot, "keep": keep, "force": force, "restart_service": restart_service}
    limit_s = timeout_s or deploy_limit_s()

    def on_one(name: str, progress: Progress) -> Deployed:
        with connection(name) as ssh:
            job = {**bundle_job(ssh, opened, progress), **options}
            said = work_there(ssh, opened.path.name, "deploy", job, Follower(progress, limit_s))
            return _deployed(name, said)

    return _on_devices(opened.path.name, slot, _hosts(host, fleet), on_one, progress)


def roll_back(
    host: str | Sequence[str] = (),
    *,
    fleet: str | None = None,
    slot: str = DEFAULT_SLOT,
    restart_service: bool = True,
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> DeployResult:
    """Makes the version before the current one current again on devices.

    Raises:
        InputError: no device is given. Others are in the result, as of :func:`deploy`.
    """

    limit_s = timeout_s or deploy_limit_s()

    def on_one(name: str, progress: Progress) -> Deployed:
        with connection(name) as ssh:
            hello(ssh)
            job = {"bundle": NO_BUNDLE, "slot": slot, "restart_service": restart_service}
            said = work_there(ssh, "rollback", "rollback", job, Follower(progress, limit_s))
            return _deployed(name, said)

    return _on_devices("rollback", slot, _hosts(host, fleet), on_one, progress)


def _hosts(host: str | Sequence[str], fleet: str | None) -> tuple[str, ...]:
    hosts = hosts_of([host] if isinstance(host, str) else host, fleet)
    require_hosts(hosts)
    return hosts


def _on_devices(
    name: str,
    slot: str,
    hosts: Sequence[str],
    do: Callable[[str, Progress], Deployed],
    progress: Progress | None,
) -> DeployResult:
    refuse_slot_name(slot)
    return DeployResult(name, slot, on_all(hosts, do, progress or SilentProgress()))


def _deployed(host: str, said: dict[str, Any]) -> Deployed:
    try:
        return typed(Deployed, said)
    except ValueError as error:
        raise DeviceError(f"{host} sent what is no result of edgevit ({error}).") from error


def _service_lines(host: str, deployed: Deployed) -> Iterator[str]:
    """What became of the services that run the deployed bundle."""
    for service in deployed.services:
        unit = unit_name(service.name)
        yield {
            "restarted": f"{host}: service '{service.name}' was restarted",
            "not running": f"{host}: service '{service.name}' does not run; it was not started",
            "left running": f"{host}: service '{service.name}' still runs the bundle before; "
            f"on the device: systemctl --user restart {unit}",
            "failed": f"{host}: service '{service.name}' could not be restarted: {service.reason}",
        }[service.done]


def _row(host: str, deployed: Deployed) -> tuple[str, ...]:
    before = deployed.before
    return (
        host,
        "switched" if deployed.changed else "was current already",
        deployed.current[:_SHOWN_DIGITS],
        "-" if before is None else before[:_SHOWN_DIGITS],
        str(len(deployed.versions)),
    )


def _links(done: Mapping[str, Deployed]) -> list[str]:
    """What programs open, once for all devices where it is called the same."""
    paths = {host: deployed.path for host, deployed in done.items()}
    if len(set(paths.values())) == 1:
        return [f"link: {next(iter(paths.values()))}"]
    return [f"link on {host}: {path}" for host, path in paths.items()]

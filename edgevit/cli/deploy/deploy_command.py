"""``edgevit deploy``: a bundle on devices, verified there before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgevit.cli.options import FleetOption, HostsOption, JsonOption, TimeoutOption, open_bundle
from edgevit.common.errors import InputError


def deploy(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle folder. Not given with --rollback.")
    ] = None,
    host: HostsOption = None,
    fleet: FleetOption = None,
    timeout: TimeoutOption = None,
    slot: Annotated[
        str, typer.Option(help="Name of the place on the device, for more than one model.")
    ] = "main",
    keep: Annotated[
        int, typer.Option(min=1, help="Versions to keep on the device, the new one among them.")
    ] = 3,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Switch back to the version before the current one.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Verify again even if the bundle is current already.")
    ] = False,
    restart_service: Annotated[
        bool,
        typer.Option(
            help="Restart the running services of 'edgevit service' that have the slot's link as "
            "their bundle."
        ),
    ] = True,
    json: JsonOption = False,
) -> None:
    """Copy a bundle to devices once, verify it there, and switch to it in one step."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.workflows.remote import deploy as workflow

    options: dict[str, Any] = {
        "fleet": fleet,
        "slot": slot,
        "restart_service": restart_service,
        "timeout_s": timeout,
        "progress": progress_for_stderr(),
    }
    if rollback:
        if bundle is not None:
            raise InputError("--rollback goes back to what is on the device; give no bundle.")
        result = workflow.roll_back(host or (), **options)
    elif bundle is None:
        raise InputError("No bundle is given. Usage: edgevit deploy model.edgevit --host DEVICE")
    else:
        result = workflow.deploy(
            open_bundle(bundle),
            host or (),
            keep=keep,
            force=force,
            **options,
        )
    show(result, json)
    result.require()

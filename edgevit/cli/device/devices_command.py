"""``edgevit devices``: machines that are reached over SSH, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import JsonOption

app = typer.Typer(
    help="Devices that are reached over SSH: name them, set them up, look at them.",
    invoke_without_command=True,
)
NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="DEVICE", help="A name added with 'edgevit devices add', or user@address."
    ),
]


@app.callback()
def devices(context: typer.Context) -> None:
    """Devices that are reached over SSH: name them, set them up, look at them. Alone: list them."""
    if context.invoked_subcommand is None:
        list_()


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the device, such as jetson.")],
    host: Annotated[
        str, typer.Argument(help="user@address, ssh://user@address:port, or from ssh's config.")
    ],
    folder: Annotated[
        str | None, typer.Option(help="Folder of edgevit on the device. Default: in ~/.cache.")
    ] = None,
) -> None:
    """Remember a device by name."""
    from edgevit_runtimes.remote.device_address import DEFAULT_FOLDER, Device
    from edgevit_runtimes.remote.device_list import add_device, devices_file

    add_device(name, Device(host, DEFAULT_FOLDER if folder is None else folder))
    print(f"{name} is {host} ({devices_file()}); next: edgevit devices setup {name}")


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """This machine, and the devices that were added."""
    from dataclasses import asdict

    from edgevit.common.console import print_json, print_table
    from edgevit_runtimes.devices.machine import describe
    from edgevit_runtimes.remote.device_list import read_devices, read_fleets

    here, devices, fleets = describe(), read_devices(), read_fleets()
    if json:
        listed = {name: asdict(device) for name, device in devices.items()}
        made = {name: list(members) for name, members in fleets.items()}
        print_json({"here": asdict(here), "devices": listed, "fleets": made})
        return
    rows = [("(here)", here.kind, here.name or here.processor or "unavailable")]
    rows += [(name, device.host, device.folder) for name, device in devices.items()]
    rows += [(name, "fleet", ", ".join(members)) for name, members in fleets.items()]
    print_table("devices", ("name", "host", "what or where"), rows)


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="A name added with 'edgevit devices add'.")],
) -> None:
    """Forget a device; what lies on it stays there."""
    from edgevit_runtimes.remote.device_list import remove_device

    remove_device(name)
    print(f"{name} is forgotten")


@app.command("fleet")
def fleet(
    name: Annotated[str, typer.Argument(help="Name of the fleet, for --fleet.")],
    members: Annotated[
        list[str] | None,
        typer.Argument(metavar="DEVICE...", help="Its devices, by name or as user@address."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Forget the fleet; its devices stay.")
    ] = False,
) -> None:
    """Make or replace a fleet: devices that bench and deploy use all at once, by one name."""
    from edgevit.common.errors import InputError
    from edgevit_runtimes.remote.device_list import devices_file, remove_fleet, set_fleet

    if remove:
        if members:
            raise InputError("--remove forgets the whole fleet; give its name alone.")
        remove_fleet(name)
        print(f"{name} is forgotten")
        return
    set_fleet(name, members or ())
    print(f"{name} is {', '.join(members or ())} ({devices_file()})")


@app.command("check")
def check(name: NameArgument, json: JsonOption = False) -> None:
    """Look whether a device can be reached, what it is, and what it is ready for."""
    from edgevit.common.console import show
    from edgevit_runtimes.doctor.examination import check_over_ssh
    from edgevit_runtimes.remote.ssh import connection

    with connection(name) as ssh:
        show(check_over_ssh(ssh), json)


@app.command("show")
def show_device(name: NameArgument, json: JsonOption = False) -> None:
    """What a device is, its power mode and clocks, and which bundles are deployed on it."""
    from edgevit.common.console import show
    from edgevit.workflows.remote.show_device import show_device as look_at
    from edgevit_runtimes.remote.ssh import connection

    with connection(name) as ssh:
        show(look_at(ssh), json)


@app.command("setup")
def setup(
    name: NameArgument,
    wheel: Annotated[
        Path | None,
        typer.Option(help="An edgevit wheel to install. Default: built from this installation."),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Download all wheels here; the device needs no network."),
    ] = False,
) -> None:
    """Install this edgevit on a device, with what a camera's page and TensorRT need.

    The device's own OpenCV, TensorRT and ONNX Runtime are kept.
    """
    from edgevit.common.progress import progress_for_stderr
    from edgevit.common.untrusted.sanitize import harmless
    from edgevit_runtimes.remote.setup import set_up
    from edgevit_runtimes.remote.ssh import connection

    with connection(name) as ssh:
        done = set_up(ssh, progress_for_stderr(), wheel, offline)
    for module, found in dict(done.get("kept") or {}).items():
        if found:
            print(f"kept the system's {harmless(str(module))} {harmless(str(found[0]))}")
    for module in done.get("covered") or ():
        print(f"WARNING: the system's {harmless(str(module))} is covered by another one")
    for need in done.get("without") or ():
        print(f"WARNING: {harmless(str(need))} could not be installed; edgevit works without")
    print(f"edgevit is set up; next: edgevit bench --host {name}")


@app.command("record")
def record(
    name: NameArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
) -> None:
    """Record what a device is, without serial numbers, for doctor --recording or a bug report."""
    from edgevit.common.storage.files import write_atomically
    from edgevit_runtimes.remote.setup import recording
    from edgevit_runtimes.remote.ssh import connection

    with connection(name) as ssh:
        text = recording(ssh)
    write_atomically(output, lambda aside: aside.write_text(text, encoding="utf-8"))
    print(f"{output}: {len(text.splitlines())} lines; see: edgevit doctor --recording {output}")

"""``edgevit devices``: machines that are reached over SSH, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgevit.cli.command import Function, add_command
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


def add(
    name: Annotated[str, typer.Argument(help="Name of the device, such as jetson.")],
    host: Annotated[
        str, typer.Argument(help="user@address, ssh://user@address:port, or from ssh's config.")
    ],
    folder: Annotated[
        str | None, typer.Option(help="Folder of edgevit on the device. Default: in ~/.cache.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Remember a device by name."""
    from edgevit_runtimes.remote.device_address import DEFAULT_FOLDER, Device
    from edgevit_runtimes.remote.device_list import add_device, devices_file

    add_device(name, Device(host, DEFAULT_FOLDER if folder is None else folder))
    done = f"{name} is {host} ({devices_file()}); next: edgevit devices setup {name}"
    _say({"name": name, "host": host, "file": str(devices_file())}, [done], json)


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


def remove(
    name: Annotated[str, typer.Argument(help="A name added with 'edgevit devices add'.")],
    json: JsonOption = False,
) -> None:
    """Forget a device; what lies on it stays there."""
    from edgevit_runtimes.remote.device_list import remove_device

    remove_device(name)
    _say({"removed": name}, [f"{name} is forgotten"], json)


def fleet(
    name: Annotated[str, typer.Argument(help="Name of the fleet, for --fleet.")],
    members: Annotated[
        list[str] | None,
        typer.Argument(metavar="DEVICE...", help="Its devices, by name or as user@address."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Forget the fleet; its devices stay.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make or replace a fleet: devices that bench and deploy use all at once, by one name."""
    from edgevit.common.errors import InputError
    from edgevit_runtimes.remote.device_list import devices_file, remove_fleet, set_fleet

    if remove:
        if members:
            raise InputError("--remove forgets the whole fleet; give its name alone.")
        remove_fleet(name)
        _say({"removed": name}, [f"{name} is forgotten"], json)
        return
    named = members or []
    set_fleet(name, named)
    done = f"{name} is {', '.join(named)} ({devices_file()})"
    _say({"name": name, "devices": named, "file": str(devices_file())}, [done], json)


def check(name: NameArgument, json: JsonOption = False) -> None:
    """Look whether a device can be reached, what it is, and what it is ready for."""
    from edgevit.common.console import show
    from edgevit_runtimes.doctor.examination import check_over_ssh
    from edgevit_runtimes.remote.ssh import connection

    with connection(name) as ssh:
        show(check_over_ssh(ssh), json)


def show_device(name: NameArgument, json: JsonOption = False) -> None:
    """What a device is, its power mode and clocks, and which bundles are deployed on it."""
    from edgevit.common.console import show
    from edgevit.workflows.remote.show_device import show_device as look_at
    from edgevit_runtimes.remote.ssh import connection

    with connection(name) as ssh:
        show(look_at(ssh), json)


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
    json: JsonOption = False,
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
    kept = {
        harmless(str(module)): harmless(str(found[0]))
        for module, found in dict(done.get("kept") or {}).items()
        if found
    }
    covered = [harmless(str(module)) for module in done.get("covered") or ()]
    without = [harmless(str(need)) for need in done.get("without") or ()]
    lines = [
        *(f"kept the system's {module} {version}" for module, version in kept.items()),
        *(f"WARNING: the system's {module} is covered by another one" for module in covered),
        *(f"WARNING: {need} could not be installed; edgevit works without" for need in without),
        f"edgevit is set up; next: edgevit bench --host {name}",
    ]
    _say({"device": name, "kept": kept, "covered": covered, "without": without}, lines, json)


def record(
    name: NameArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    json: JsonOption = False,
) -> None:
    """Record what a device is, without serial numbers, for doctor --recording or a bug report."""
    from edgevit.common.storage.files import write_atomically
    from edgevit_runtimes.remote.setup import recording
    from edgevit_runtimes.remote.ssh import connection

    with connection(name) as ssh:
        text = recording(ssh)
    write_atomically(output, lambda aside: aside.write_text(text, encoding="utf-8"))
    count = len(text.splitlines())
    done = f"{output}: {count} lines; see: edgevit doctor --recording {output}"
    _say({"device": name, "file": str(output), "lines": count}, [done], json)


def _say(document: dict[str, Any], lines: list[str], as_json: bool) -> None:
    from edgevit.common.console import print_json

    if as_json:
        print_json(document)
        return
    for line in lines:
        print(line)


_COMMANDS: dict[str, Function] = {
    "add": add,
    "list": list_,
    "remove": remove,
    "fleet": fleet,
    "check": check,
    "show": show_device,
    "setup": setup,
    "record": record,
}
for name, function in _COMMANDS.items():
    add_command(app, function, name, under="devices")

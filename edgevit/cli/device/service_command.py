"""``edgevit service``: ``edgevit run`` with its page, from the start of the device on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.command import Function, add_command
from edgevit.cli.options import JsonOption

app = typer.Typer(
    help="Run a model on a camera as a systemd user service, with its page.", no_args_is_help=True
)
NameOption = Annotated[str, typer.Option("--name", help="Name of the service.")]


def install(
    bundle: Annotated[
        Path, typer.Argument(help="A bundle, or the 'current' link of 'edgevit deploy'.")
    ],
    source: Annotated[
        str, typer.Argument(help="A camera or stream as of 'edgevit run', such as csi://0 or 0.")
    ],
    serve: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address of the page.")
    ] = "0.0.0.0:8080",
    name: NameOption = "camera",
    token_file: Annotated[
        Path | None, typer.Option(help="Read the page's token from this file. Default: make one.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Variant. Default: the one chosen for this machine.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Request this resolution from the camera.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Request this frame rate.")] = None,
    rotate: Annotated[int | None, typer.Option(help="Rotate clockwise by 90, 180 or 270.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the unit; write and start nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write a systemd user unit and the page's token (mode 0600), and start the service."""
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.console import show
    from edgevit_runtimes.service.systemd import install as install_service
    from edgevit_runtimes.service.unit_file import Service, run_options, token_path

    Bundle.open(bundle)
    given = [("--variant", variant), ("--size", size), ("--fps", fps), ("--rotate", rotate)]
    service = Service(bundle, source, serve, name, run_options(given))
    if dry_run:
        print(service.text(token_path(name)), end="")
    else:
        show(install_service(service, token_file), json)


def status(name: NameOption = "camera", json: JsonOption = False) -> None:
    """Say whether a service runs, how often it was started again, and where its log is."""
    from edgevit.common.console import show
    from edgevit_runtimes.service.systemd import status as status_of

    show(status_of(name), json)


def remove(name: NameOption = "camera", json: JsonOption = False) -> None:
    """Stop a service; delete its unit and its token."""
    from edgevit.common.console import print_json
    from edgevit_runtimes.service.systemd import remove as remove_service

    remove_service(name)
    if json:
        print_json({"removed": name})
    else:
        print(f"{name} is removed")


_COMMANDS: dict[str, Function] = {"install": install, "status": status, "remove": remove}
for _name, _function in _COMMANDS.items():
    add_command(app, _function, _name, under="service")

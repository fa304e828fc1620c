"""``edgevit doctor``: what this machine has, and the line that fixes what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import JsonOption
from edgevit.common.errors import InputError

RecordingOption = Annotated[
    Path | None,
    typer.Option(help="Examine another device from a file of 'edgevit devices record'."),
]
HostOption = Annotated[
    str | None,
    typer.Option(
        help="A device over SSH: user@address, or a name added with 'edgevit devices add'."
    ),
]


def doctor(
    recording: RecordingOption = None,
    host: HostOption = None,
    json: JsonOption = False,
) -> None:
    """Say what this machine is, what it is ready for, and the line that fixes what is missing."""
    from edgevit.common.console import show
    from edgevit_runtimes.doctor import examination

    if recording is not None and host is not None:
        raise InputError("Give --recording or --host, not both.")
    if host is not None:
        from edgevit_runtimes.remote.ssh import connection

        with connection(host) as ssh:
            found = examination.examine_over_ssh(ssh)
    elif recording is not None:
        found = examination.examine_recording(recording)
    else:
        found = examination.examine_here()
    show(found, json)

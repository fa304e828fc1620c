"""``edgevit trust``: a bundle that somebody else made is opened as one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import CheckHashesOption, JsonOption, open_bundle


def trust(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder that somebody else made.")],
    check_hashes: CheckHashesOption = False,
    json: JsonOption = False,
) -> None:
    """Trust a bundle as it is now: its models are opened without a trial in another process."""
    from edgevit.common.console import show
    from edgevit.workflows.trial.trust_bundle import trust_bundle

    show(trust_bundle(open_bundle(bundle, check_hashes)), json)

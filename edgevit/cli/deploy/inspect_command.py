"""``edgevit inspect``: what is in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import CheckHashesOption, JsonOption, open_bundle


def inspect(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle folder. Default: the prebuilt lla_tiny.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Show the precision of every layer, by variant.")
    ] = False,
    check_hashes: CheckHashesOption = False,
    json: JsonOption = False,
) -> None:
    """Show what is in a bundle: variants, sizes, precision, calibration, parity, accuracy."""
    from edgevit.common.console import show
    from edgevit.workflows.inspect import inspect as inspect_bundle

    show(inspect_bundle(open_bundle(bundle, check_hashes), layers=layers), json)

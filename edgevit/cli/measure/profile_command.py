"""``edgevit profile``: where the time of an inference goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import (
    CheckHashesOption,
    JsonOption,
    ResultFileOption,
    ThreadsOption,
    open_bundle,
    variant_names,
)


def profile(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle folder. Default: the prebuilt lla_tiny.")
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            callback=variant_names, help="A variant to profile; may be repeated. Default: all."
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option(min=1, help="Number of inferences; medians are reported.")
    ] = 100,
    threads: ThreadsOption = 1,
    plot: Annotated[
        Path | None, typer.Option(help="Plot the times by part and by operator: .png, .svg.")
    ] = None,
    check_hashes: CheckHashesOption = False,
    output: ResultFileOption = None,
    json: JsonOption = False,
) -> None:
    """Time every layer, in every runtime: by part of the model, by op, and against the limit."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.workflows.profile import profile as profile_bundle

    result = profile_bundle(
        open_bundle(bundle, check_hashes),
        variants=variant,
        runs=runs,
        threads=threads,
        plot=plot,
        progress=progress_for_stderr(),
    )
    show(result, json, output)

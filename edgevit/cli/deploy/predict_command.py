"""``edgevit predict``: answers for a set of any size, as a parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgevit.cli.options import (
    CheckHashesOption,
    ClusterOption,
    EngineOption,
    JsonOption,
    MaxPixelsOption,
    RayWorkersOption,
    ThreadsOption,
    VariantOption,
    open_bundle,
)
from edgevit.cli.sources import split_sources
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[BUNDLE] SET...",
            help="A bundle (default: the prebuilt lla_tiny), then folders, globs, .tar and .zip "
            "archives or folders of them, parquet files with a column 'path' or 'bytes'.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Parquet file to write the answers to.")
    ],
    engine: EngineOption = "local",
    workers: RayWorkersOption = None,
    address: ClusterOption = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to list per image.")] = 5,
    variant: VariantOption = None,
    threads: ThreadsOption = 1,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    check_hashes: CheckHashesOption = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    json: JsonOption = False,
) -> None:
    """Answer a set of images of any size, on this machine or on a Ray cluster."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.sets.engines import EngineOptions
    from edgevit.workflows.sets.predict_set import predict_set

    set_max_pixels(max_pixels)
    options = EngineOptions.of(engine, workers, address)
    path, rest = split_sources(sources, "predict", "photos --output answers.parquet")
    result = predict_set(
        open_bundle(path, check_hashes),
        rest,
        output,
        variant=variant,
        threads=threads,
        top=top,
        engine=options,
        force=force,
        progress=progress_for_stderr(),
    )
    show(result, json)
    if result.failed:
        raise typer.Exit(1)

"""``edgevit verify``: every variant of a bundle against the float reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.options import (
    CheckHashesOption,
    HostOption,
    JsonOption,
    MaxPixelsOption,
    ResultFileOption,
    ThreadsOption,
    TimeoutOption,
    open_bundle,
    refuse_timeout_here,
    variant_names,
)
from edgevit.common.errors import InputError
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from edgevit.workflows.remote.remote_result import RemoteResult
    from edgevit.workflows.verify import VerifyResult


def verify(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle folder. Default: the prebuilt lla_tiny.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images to compare on, in addition to the bundle's own eight."),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, help="Number of images from --images, evenly spaced.")
    ] = 200,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            callback=variant_names, help="A variant to verify; may be repeated. Default: all."
        ),
    ] = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Find the first tensor in which a variant differs.")
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="With --bisect: relative error of a difference. Default: by precision.",
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="First drop the variants whose files are damaged.")
    ] = False,
    threads: ThreadsOption = 1,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    check_hashes: CheckHashesOption = False,
    output: ResultFileOption = None,
    host: HostOption = None,
    timeout: TimeoutOption = None,
    json: JsonOption = False,
) -> None:
    """Compare every variant with the float reference: answers, superpixels, pass or fail."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.verify import verify as verify_bundle

    set_max_pixels(max_pixels)
    opened, progress = open_bundle(bundle, check_hashes), progress_for_stderr()
    options: dict[str, Any] = {
        "images": images,
        "count": count,
        "variants": variant,
        "bisect": bisect,
        "tolerance": tolerance,
        "threads": threads,
    }
    result: VerifyResult | RemoteResult
    if host is None:
        refuse_timeout_here(timeout)
        result = verify_bundle(opened, repair=repair, progress=progress, **options)
    else:
        if repair:
            raise InputError("--repair changes the bundle here; give it without --host.")
        from edgevit.workflows.remote.host_work import verify_there

        result = verify_there(opened, host, timeout_s=timeout, progress=progress, **options)
    show(result, json, output)
    result.require()

"""``edgevit eval``: how often a deployed model is right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.cli.options import (
    CheckHashesOption,
    JsonOption,
    MaxPixelsOption,
    SkipCorruptOption,
    ThreadsOption,
    VariantOption,
    VoidOption,
    looks_like_bundle,
    open_bundle,
)
from edgevit.common.errors import InputError
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.progress import Progress


def evaluate(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[BUNDLE] DATA",
            help="A bundle (default: the prebuilt lla_tiny), and a folder of images with one "
            "subfolder per class (of a segmentation model: with images/ and labels/).",
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="Export this zoo model with its shipped weights first.")
    ] = None,
    variant: VariantOption = None,
    confusion: Annotated[
        Path | None, typer.Option(help="Plot the confusion matrix: .png, .svg or .pdf.")
    ] = None,
    void: VoidOption = None,
    skip_corrupt: SkipCorruptOption = False,
    threads: ThreadsOption = 1,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    check_hashes: CheckHashesOption = False,
    json: JsonOption = False,
) -> None:
    """Accuracy on labelled images: top-1 and top-5, or mIoU of masks, class by class."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.evaluate import evaluate as evaluate_bundle

    set_max_pixels(max_pixels)
    path, data = _split(paths, model)
    progress = progress_for_stderr()
    with _bundle(path, model, check_hashes, progress) as bundle:
        result = evaluate_bundle(
            bundle,
            data,
            variant=variant,
            threads=threads,
            skip_corrupt=skip_corrupt,
            void=void,
            confusion=confusion,
            progress=progress,
        )
        show(result, json)


def _split(paths: list[Path], model: str | None) -> tuple[Path | None, Path]:
    """[BUNDLE] DATA; with --model only DATA."""
    bundles = [path for path in paths if looks_like_bundle(path)]
    data = [path for path in paths if path not in bundles]
    if len(data) != 1 or len(bundles) > 1:
        raise InputError(
            f"Got {len(bundles)} bundles and {len(data)} folders of images; expected one folder, "
            "and a bundle or --model. Usage: edgevit eval model.edgevit images/val"
        )
    if bundles and model is not None:
        raise InputError(f"Got the bundle {bundles[0]} and --model {model}; give one of them.")
    return (bundles[0] if bundles else None), data[0]


@contextmanager
def _bundle(
    path: Path | None, model: str | None, check_hashes: bool, progress: Progress
) -> Iterator[Bundle]:
    """The bundle of that path, or one exported for the occasion, or the prebuilt one."""
    if model is None:
        yield open_bundle(path, check_hashes)
        return
    from edgevit.workflows.export import export

    with TemporaryDirectory() as scratch:
        target = Path(scratch) / f"{model}.edgevit"
        yield export(model, target, batch=None, parity_count=8, progress=progress).bundle

"""``edgevit eval``: how often a deployed model is right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.options import (
    CheckHashesOption,
    ClusterOption,
    EngineOption,
    HostOption,
    JsonOption,
    MaxPixelsOption,
    RayWorkersOption,
    ResultFileOption,
    SkipCorruptOption,
    ThreadsOption,
    TimeoutOption,
    VariantOption,
    VoidOption,
    looks_like_bundle,
    open_bundle,
    refuse_timeout_here,
)
from edgevit.cli.renamed import REMOVED_IN, warn
from edgevit.common.errors import InputError
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.progress import Progress
    from edgevit.common.result import Result
    from edgevit.workflows.sets.engines import EngineOptions


def evaluate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[BUNDLE]", help="A bundle folder. Default: the prebuilt lla_tiny."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Labelled images, one subfolder per class, or .tar and .zip archives of them; "
            "segmentation: images/ and labels/; detection: VOC or COCO; or a folder with val/."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Export this zoo model with its shipped weights first.")
    ] = None,
    variant: VariantOption = None,
    confusion: Annotated[
        Path | None, typer.Option(help="Plot the confusion matrix: .png, .svg or .pdf.")
    ] = None,
    split: Annotated[
        str,
        typer.Option(help="Which images: all, or held-out (the validation split of the training)."),
    ] = "all",
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Fit a softmax temperature on these images, and keep it in the bundle.",
        ),
    ] = False,
    void: VoidOption = None,
    skip_corrupt: SkipCorruptOption = False,
    engine: EngineOption = "local",
    workers: RayWorkersOption = None,
    address: ClusterOption = None,
    threads: ThreadsOption = 1,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    check_hashes: CheckHashesOption = False,
    output: ResultFileOption = None,
    host: HostOption = None,
    timeout: TimeoutOption = None,
    json: JsonOption = False,
) -> None:
    """Accuracy on labelled images: top-1 and top-5, or mIoU of masks, class by class."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.evaluate import evaluate as evaluate_bundle
    from edgevit.workflows.sets.engines import EngineOptions

    set_max_pixels(max_pixels)
    engine_options = EngineOptions.of(engine, workers, address)
    path, folder = _split(paths or [], data, model)
    progress = progress_for_stderr()
    with _bundle(path, model, check_hashes, progress) as bundle:
        options: dict[str, Any] = {
            "variant": variant,
            "threads": threads,
            "skip_corrupt": skip_corrupt,
            "progress": progress,
        }
        result: Result
        if host is None:
            refuse_timeout_here(timeout)
            result = evaluate_bundle(
                bundle,
                folder,
                void=void,
                engine=engine_options,
                confusion=confusion,
                calibrate=calibrate,
                split=split,
                **options,
            )
        else:
            here: dict[str, object] = {
                "--confusion": confusion,
                "--calibrate": calibrate,
                "--split": split != "all",
            }
            _refuse_what_stays_here(engine_options, here)
            from edgevit.workflows.remote.host_work import evaluate_there

            task_options = _given(void=void)
            result = evaluate_there(
                bundle, host, folder, timeout_s=timeout, **options, **task_options
            )
        show(result, json, output)


def _given(**options: Any) -> dict[str, Any]:
    """Of a device, whose edgevit may be an older one, only what it is needed for is asked."""
    return {name: value for name, value in options.items() if value is not None}


def _refuse_what_stays_here(engine: EngineOptions, given: dict[str, object]) -> None:
    named = [name for name, value in given.items() if value]
    if named:
        raise InputError(f"{', '.join(named)} is for evaluating here; leave out that, or --host.")
    if engine.name != "local":
        raise InputError("--engine ray works on this machine or its cluster; leave --host out.")


def _split(paths: list[Path], data: Path | None, model: str | None) -> tuple[Path | None, Path]:
    """[BUNDLE] --data DATA, or with --model only the data; DATA without --data is of before."""
    bundles = [path for path in paths if looks_like_bundle(path)]
    folders = [path for path in paths if path not in bundles]
    if data is None and any(folder.exists() for folder in folders):
        warn(
            f"the images of 'edgevit eval' are given as --data {folders[0]} now; the former way "
            f"works until edgevit {REMOVED_IN}"
        )
    found = [*folders, *([data] if data is not None else [])]
    if not found:
        raise InputError(
            "The accuracy is measured on labelled images: give their folder with --data, such as "
            "edgevit eval mine.edgevit --data images/val"
        )
    if len(found) != 1 or len(bundles) > 1:
        raise InputError(
            f"Got {len(bundles)} bundles and {len(found)} folders of images; expected one folder, "
            "and a bundle or --model. Usage: edgevit eval model.edgevit --data images/val"
        )
    if bundles and model is not None:
        raise InputError(f"Got the bundle {bundles[0]} and --model {model}; give one of them.")
    return (bundles[0] if bundles else None), found[0]


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

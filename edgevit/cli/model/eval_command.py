"""``edgevit eval``: how often a deployed model is right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.options import (
    JsonOption,
    SkipCorruptOption,
    ThreadsOption,
    VariantOption,
    check_picture,
    looks_like_bundle,
    open_bundle,
    untrained_note,
)
from edgevit.common.errors import InputError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.progress import Progress
    from edgevit_runtimes.selection.evaluate import Evaluation


def evaluate(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[BUNDLE] DATA",
            help="A bundle (default: the prebuilt lla_tiny), and a folder with one folder a class.",
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="Export this model of the zoo first, with its weights.")
    ] = None,
    variant: VariantOption = None,
    confusion: Annotated[
        Path | None, typer.Option(help="Draw the confusion matrix: .png, .svg or .pdf.")
    ] = None,
    skip_corrupt: SkipCorruptOption = False,
    threads: ThreadsOption = 1,
    json: JsonOption = False,
) -> None:
    """Accuracy on labelled images: top-1 and top-5 with 95 % intervals, class by class."""
    from edgevit.common.progress import progress_for_stderr
    from edgevit.images.image_folder import ImageFolder
    from edgevit_runtimes.backends.classifier import BundleClassifier
    from edgevit_runtimes.selection.evaluate import evaluate as evaluate_bundle

    check_picture("--confusion", confusion)
    bundle_path, data = _split(paths, model)
    progress = progress_for_stderr()
    inside = data / "val"
    folder = ImageFolder.open(inside if inside.is_dir() else data)
    with _bundle(bundle_path, model, progress) as bundle:
        with BundleClassifier(bundle, variant, threads) as classifier:
            readable = folder.readable(skip_corrupt, threads, progress)
            result = evaluate_bundle(classifier, readable, progress)
            used = classifier.variant
        content = _content(bundle, used, threads, data, result)
        _print(content, json, untrained_note(bundle))
        if confusion is not None:
            _draw(result, confusion)


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
def _bundle(path: Path | None, model: str | None, progress: Progress) -> Iterator[Bundle]:
    """The bundle of that path, or one exported for the occasion, or the prebuilt one."""
    if model is None:
        yield open_bundle(path)
        return
    from edgevit.cli.deploy.export_command import export_shipped

    with TemporaryDirectory() as scratch:
        yield export_shipped(model, Path(scratch) / f"{model}.edgevit", progress)


def _content(
    bundle: Bundle, variant: str, threads: int, data: Path, result: Evaluation
) -> dict[str, Any]:
    from edgevit_runtimes.bench.conditions import runtime_label

    manifest = bundle.manifest
    inference, overall = result.images_per_second
    return {
        "model": manifest.model.name,
        "bundle": str(bundle.path),
        "variant": variant,
        "file_sha256": manifest.files[manifest.variants[variant].file].sha256,
        "trained": manifest.model.trained,
        "weights": manifest.model.weights,
        "data": str(data),
        **result.accuracy.to_json(),
        "images_per_s": {"inference": round(inference, 1), "with_reading": round(overall, 1)},
        "conditions": {
            "runtime": runtime_label(bundle, variant),
            "threads": threads,
            "resize": f"{manifest.preprocess.resize} to {manifest.preprocess.size_px} px",
        },
    }


def _draw(result: Evaluation, target: Path) -> None:
    from edgevit.results.plots import draw_confusion

    draw_confusion(*result.accuracy.used_confusion, target)


def _print(content: dict[str, Any], as_json: bool, note: str | None) -> None:
    from edgevit.common.console import print_json, print_table

    if as_json:
        print_json(content)
        return
    rows = [
        (
            row["class"],
            str(row["images"]),
            _share(row["recall"]),
            _share(row["precision"]),
            _mistaken(row),
        )
        for row in content["classes"]
    ]
    columns = ("class", "images", "found", "right when said", "most taken for")
    title = f"{content['model']} {content['variant']} on {content['data']}"
    print_table(title, columns, rows, numeric=columns[1:4])
    speed = content["images_per_s"]
    conditions = content["conditions"]
    summary = [
        ("top-1", _share(content["top1"], with_interval=True)),
        ("top-5", _share(content["top5"], with_interval=True)),
        ("images", str(content["images"])),
        ("speed", f"{speed['inference']:.0f} images/s; {speed['with_reading']:.0f} with reading"),
        (
            "how",
            f"{conditions['runtime']}, {conditions['threads']} thread(s), {conditions['resize']}",
        ),
    ]
    if note:
        summary.insert(0, ("note", note))
    print_table("accuracy of the deployed model, 95 % intervals", ("", ""), summary)


def _share(share: dict[str, Any], with_interval: bool = False) -> str:
    low, high = share["interval_95"]
    interval = f"  ({100 * low:.1f} to {100 * high:.1f} %)" if with_interval else ""
    return f"{100 * share['share']:.2f} %{interval}"


def _mistaken(row: dict[str, Any]) -> str:
    name = row["most_taken_for"]
    return "" if name is None else f"{name} ({row['most_taken_for_images']})"

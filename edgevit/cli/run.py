"""``edgevit run``: answers for pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.options import (
    JsonOption,
    ThreadsOption,
    VariantOption,
    looks_like_bundle,
    open_bundle,
    untrained_note,
)
from edgevit.errors import InputError

if TYPE_CHECKING:
    from edgevit.bundle import Bundle
    from edgevit_runtimes.classify import BundleClassifier


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[BUNDLE] IMAGES...",
            help="A bundle (default: the prebuilt lla_tiny), then pictures or folders.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 3,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write the picture with its superpixels and answer; a folder for several."
        ),
    ] = None,
    variant: VariantOption = None,
    threads: ThreadsOption = 1,
    json: JsonOption = False,
) -> None:
    """Answer pictures with a bundle: the likeliest classes of each."""
    from edgevit_runtimes.classify import BundleClassifier

    bundle_path, pictures = _split(paths)
    bundle = open_bundle(bundle_path)
    files = list(_files(pictures))
    targets = _targets(files, save)
    with BundleClassifier(bundle, variant, threads) as classifier:
        results = [_result(classifier, file, top) for file in files]
        used = classifier.variant
    if save is not None:
        _save(bundle, results, targets, threads)
    content: dict[str, Any] = {
        "model": bundle.manifest.model.name,
        "bundle": str(bundle.path),
        "variant": used,
        "trained": bundle.manifest.model.trained,
        "results": [r for r in results if "answers" in r],
        "errors": [r for r in results if "error" in r],
    }
    _print(content, json, untrained_note(bundle))
    for failed in content["errors"]:
        print(f"error: {failed['error']}", file=sys.stderr)
    if content["errors"]:
        raise typer.Exit(2)


def _targets(files: list[Path], save: Path | None) -> list[Path]:
    """Where each annotated picture goes: the file itself, or NAME.png in a folder."""
    if save is None:
        return []
    is_file = bool(save.suffix) and not save.is_dir()
    if is_file and len(files) > 1:
        raise InputError(f"--save {save} is one file for {len(files)} pictures. Name a folder.")
    targets = [save] if is_file else [save / f"{file.stem}.png" for file in files]
    if len(set(targets)) < len(targets):
        raise InputError(f"Several pictures have the same name; {save} can hold only one of each.")
    sources = {file.resolve() for file in files}
    if own := [target for target in targets if target.resolve() in sources]:
        raise InputError(f"--save would overwrite the picture {own[0]} itself. Name another place.")
    return targets


def _save(bundle: Bundle, results: list[dict[str, Any]], targets: list[Path], threads: int) -> None:
    """Draws what was answered; a model without superpixels gets its caption alone."""
    from edgevit import drawing, images
    from edgevit_runtimes.classify import BundleSuperpixels

    with ExitStack() as stack:
        maps = None
        if bundle.manifest.superpixel_map:
            maps = stack.enter_context(BundleSuperpixels(bundle, threads))
        for result, target in zip(results, targets, strict=True):
            if "error" in result:
                continue
            drawn = images.read(Path(result["image"]))
            if maps:
                drawn = drawing.draw_superpixels(drawn, next(maps.label_maps([drawn])))
            best = result["answers"][0]
            caption = f"{best['label']} {100 * best['share']:.0f} %"
            if not bundle.manifest.model.trained:
                caption = f"untrained: {caption}"
            images.write(target, drawing.draw_caption(drawn, caption))
            result["saved"] = str(target)


def _split(paths: list[Path]) -> tuple[Path | None, list[Path]]:
    """Takes the first path for a bundle if it looks like one."""
    first = paths[0]
    bundle, pictures = (first, paths[1:]) if looks_like_bundle(first) else (None, paths)
    if not pictures:
        raise InputError(f"No pictures given. Usage: edgevit run {first} photo.jpg")
    return bundle, pictures


def _files(paths: list[Path]) -> Iterator[Path]:
    from edgevit import images

    for path in paths:
        if path.is_dir():
            yield from images.files_in(path)
        else:
            yield path


def _result(classifier: BundleClassifier, file: Path, top: int) -> dict[str, Any]:
    """One picture's answers; a picture that cannot be read does not stop the others."""
    from dataclasses import asdict

    from edgevit import images

    try:
        picture = images.read(file)
    except InputError as error:
        return {"image": str(file), "error": str(error)}
    (answers,) = classifier.answer([picture], top)
    return {"image": str(file), "answers": [asdict(answer) for answer in answers]}


def _print(content: dict[str, Any], as_json: bool, note: str | None) -> None:
    from edgevit.report import print_json, print_table

    if as_json:
        print_json(content)
    elif content["results"]:
        rows = [
            (r["image"], *(f"{a['label']} {100 * a['share']:.1f} %" for a in r["answers"]))
            for r in content["results"]
        ]
        columns = ("image", *(f"top {i + 1}" for i in range(len(rows[0]) - 1)))
        print_table(content["model"], columns, rows)
    if note:
        print(f"note: {note}", file=sys.stderr)

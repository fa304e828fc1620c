"""``edgevit run`` for pictures: a table of answers, annotated copies."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgevit.cli.options import untrained_note
from edgevit.common.errors import InputError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit_runtimes.backends.classifier import BundleClassifier
    from edgevit_runtimes.sources.capture_request import Orientation


def run_pictures(
    bundle: Bundle,
    files: Sequence[Path],
    orientation: Orientation,
    top: int,
    save: Path | None,
    variant: str | None,
    threads: int,
    json: bool,
) -> None:
    """Answers every picture; one that cannot be read does not stop the others."""
    from edgevit.common.console import print_line
    from edgevit_runtimes.backends.classifier import BundleClassifier

    targets = _targets(files, save)
    with BundleClassifier(bundle, variant, threads) as classifier:
        results = [_result(classifier, file, orientation, top) for file in files]
        used = classifier.variant
    if save is not None:
        _save(bundle, results, targets, orientation, threads)
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
        print_line(f"error: {failed['error']}", error=True)
    if content["errors"]:
        raise typer.Exit(2)


def _targets(files: Sequence[Path], save: Path | None) -> list[Path]:
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


def _save(
    bundle: Bundle,
    results: list[dict[str, Any]],
    targets: list[Path],
    orientation: Orientation,
    threads: int,
) -> None:
    """Draws what was answered; a model without superpixels gets its caption alone."""
    from edgevit.images import drawing, image_io
    from edgevit_runtimes.backends.classifier import BundleSuperpixels

    with ExitStack() as stack:
        maps = None
        if bundle.manifest.superpixel_map:
            maps = stack.enter_context(BundleSuperpixels(bundle, threads))
        for result, target in zip(results, targets, strict=True):
            if "error" in result:
                continue
            drawn = orientation.apply(image_io.read(Path(result["image"])))
            if maps:
                drawn = drawing.draw_superpixels(drawn, next(maps.label_maps([drawn])))
            best, trained = result["answers"][0], bundle.manifest.model.trained
            caption = drawing.caption(best["label"], best["share"], trained)
            image_io.write(target, drawing.draw_caption(drawn, caption))
            result["saved"] = str(target)


def _result(
    classifier: BundleClassifier, file: Path, orientation: Orientation, top: int
) -> dict[str, Any]:
    """One picture's answers; a picture that cannot be read does not stop the others."""
    from dataclasses import asdict

    from edgevit.images import image_io

    try:
        picture = orientation.apply(image_io.read(file))
    except InputError as error:
        return {"image": str(file), "error": str(error)}
    (answers,) = classifier.answer([picture], top)
    return {"image": str(file), "answers": [asdict(answer) for answer in answers]}


def _print(content: dict[str, Any], as_json: bool, note: str | None) -> None:
    from edgevit.common.console import print_json, print_line, print_table

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
        print_line(f"note: {note}", error=True)

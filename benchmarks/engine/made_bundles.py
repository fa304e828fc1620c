"""Bundles with every form that a comparison of runtimes needs, made by edgevit's own commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgevit.common.errors import EdgevitError
from edgevit.zoo.registry import PREBUILT_BUNDLE
from edgevit_runtimes.devices.target import this_target
from sample_photos import write_photos

PREBUILT = "lla_tiny"


def made_bundle(model: str, folder: Path) -> Path:
    """A bundle of the model, quantized and compiled for the runtimes of this machine; made once.

    Accuracy is no subject here: any pictures calibrate, and any drop is accepted.
    """
    bundle = folder / f"{model}.edgevit"
    if bundle.exists():
        return bundle
    pictures = _labelled_photos(folder)
    aside = folder / f"{model}.making.edgevit"
    shutil.rmtree(aside, ignore_errors=True)
    if model == PREBUILT:
        shutil.copytree(PREBUILT_BUNDLE, aside)
        _run(["trust", aside])
    else:
        _run(["export", "--model", model, "--output", aside])
    classes = _two_classes(aside, pictures)
    targets = [
        part for name in ("native", "openvino", this_target()) for part in ("--target", name)
    ]
    _run(["quantize", aside, "--data", classes, *targets, "--max-drop", "100", "--images", "8"])
    for target, precision in _forms():
        try:
            _run(["compile", aside, "--target", target, "--precision", precision])
        except EdgevitError as error:  # bfloat16 takes a processor that has it
            print(f"{model} {target}-{precision}: {error}", file=sys.stderr)
    aside.rename(bundle)
    return bundle


def _forms() -> list[tuple[str, str]]:
    native = [("native", precision) for precision in ("fp32", "int8")]
    return native + [("openvino", precision) for precision in ("fp32", "bf16", "int8")]


def _labelled_photos(folder: Path) -> Path:
    photos = folder / "photos"
    if not photos.exists():
        write_photos(photos)
    return photos


def _two_classes(bundle: Path, photos: Path) -> Path:
    """The photographs in two folders that are called as two of the bundle's classes."""
    from edgevit.bundle.bundle import Bundle

    classes = Bundle.open(bundle).manifest.classes[:2]
    root = photos.parent / f"{bundle.name}.classes"
    for place, photo in enumerate(sorted(photos.iterdir())):
        for copy in range(2):
            to = root / classes[(place + copy) % 2] / f"{copy}-{photo.name}"
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, to)
    return root


def _run(command: Sequence[object]) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "edgevit", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise EdgevitError(finished.stderr.strip() or finished.stdout.strip())

"""Bundles with every form that a comparison of runtimes needs, made by edgevit's own commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import EdgevitError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.devices.target import this_target
from sample_photos import write_photos

PREBUILT = "lla_tiny"


def made_bundle(model: str, folder: Path) -> Path:
    """A bundle of the model, quantized and compiled for the runtimes of this machine; made once.

    Accuracy is no subject here: any pictures calibrate, and any drop is accepted.
    """

    def make(aside: Path) -> None:
        if model == PREBUILT:
            copy_prebuilt(aside)
        else:
            run_edgevit(["export", "--model", model, "--output", aside])
        quantize_roughly(aside, ["native", "openvino", this_target()])
        for target, precision in _forms():
            try:
                run_edgevit(["compile", aside, "--target", target, "--precision", precision])
            except EdgevitError as error:  # bfloat16 takes a processor that has it
                print(f"{model} {target}-{precision}: {error}", file=sys.stderr)

    return made_once(folder / f"{model}.edgevit", make)


def made_once(bundle: Path, make: Callable[[Path], None]) -> Path:
    """The bundle: as it is there, or made beside its place and then moved there."""
    if not bundle.exists():
        aside = bundle.with_name(f"{bundle.stem}.making.edgevit")
        shutil.rmtree(aside, ignore_errors=True)
        make(aside)
        aside.rename(bundle)
    return bundle


def copy_prebuilt(target: Path) -> None:
    shutil.copytree(PREBUILT_BUNDLE, target)
    run_edgevit(["trust", target])


def quantize_roughly(bundle: Path, targets: Sequence[str], *options: str) -> None:
    """Whatever accuracy is lost, calibrated on parts of some photographs."""
    classes = two_classes(bundle, written_photos(bundle.parent))
    named = [part for name in targets for part in ("--target", name)]
    accepted = ["--max-drop", "100", "--count", "40"]
    run_edgevit(["quantize", bundle, "--data", classes, *named, *accepted, *options])


def _forms() -> list[tuple[str, str]]:
    native = [("native", precision) for precision in ("fp32", "int8")]
    return native + [("openvino", precision) for precision in ("fp32", "bf16", "int8")]


def written_photos(folder: Path) -> list[Path]:
    photos = folder / "photos"
    return sorted(photos.iterdir()) if photos.exists() else write_photos(photos)


def two_classes(bundle: Path, photos: list[Path]) -> Path:
    """Parts of the photographs in two folders that are called as two of the bundle's classes."""
    root = bundle.with_suffix(".classes")
    for name in Bundle.open(bundle).manifest.classes[:2]:
        (root / name).mkdir(parents=True, exist_ok=True)
    folders = sorted(root.iterdir())
    for photo in photos:
        for place, part in enumerate(_parts(image_io.read(photo))):
            file = folders[place % 2] / f"{photo.stem}-{place}.png"
            cv2.imwrite(str(file), cv2.cvtColor(part, cv2.COLOR_RGB2BGR))
    return root


def _parts(photo: Image) -> list[Image]:
    """The whole, and nine overlapping parts of half the height and width."""
    height, width = photo.shape[0] // 2, photo.shape[1] // 2
    corners = [(y * height // 2, x * width // 2) for y in range(3) for x in range(3)]
    return [photo, *(photo[y : y + height, x : x + width] for y, x in corners)]


def run_edgevit(command: Sequence[object]) -> None:
    """Raises EdgevitError with what the command said, if it failed."""
    finished = subprocess.run(
        [sys.executable, "-m", "edgevit", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise EdgevitError(finished.stderr.strip() or finished.stdout.strip())

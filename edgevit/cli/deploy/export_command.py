"""``edgevit export``: from weights to a bundle."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.cli.options import JsonOption, class_names, require_modules
from edgevit.common.errors import InputError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.progress import Progress
    from edgevit.inference.runner import Array
    from edgevit.zoo.spec import Preprocess

_MODULES = ("torch", "onnx", "onnx_ir", "onnxsim", "onnxscript", "safetensors")


def export(
    model: Annotated[str, typer.Option(help="A name that 'edgevit models' lists.")] = "lla_tiny",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights: .safetensors, .pth or .pt. Default: the shipped.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="How many classes, or a text file with one name a line.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Bundle folder. Default: MODEL.edgevit")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Fixed batch size.")] = 1,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Any batch size, chosen when it runs.")
    ] = False,
    with_superpixels: Annotated[
        bool, typer.Option("--with-superpixels", help="Give the superpixel map as an output too.")
    ] = False,
    with_features: Annotated[
        bool, typer.Option("--with-features", help="Give a LaViT's or a ViT's maps as outputs too.")
    ] = False,
    half_storage: Annotated[
        bool,
        typer.Option(
            "--half-storage",
            help="Store weights that float16 holds exactly as float16: half the file, same bits.",
        ),
    ] = False,
    parity_images: Annotated[
        Path | None, typer.Option(help="Folder of pictures for the parity gate. Default: built in.")
    ] = None,
    parity_count: Annotated[
        int, typer.Option(min=1, help="At most so many of them, spread evenly.")
    ] = 32,
    json: JsonOption = False,
) -> None:
    """Trace a model to ONNX, check it against torch, and write a bundle."""
    require_modules("edgevit export", "export", _MODULES)
    from edgevit.common.progress import progress_for_stderr
    from edgevit.zoo.registry import find
    from edgevit.zoo.spec import Preprocess
    from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

    entry = find(model)
    target = _bundle_folder(output, entry.spec.name)
    preprocess = Preprocess(entry.spec.image_px)
    request = ExportRequest(
        entry=entry,
        output=target,
        pictures=_parity_pictures(parity_images, parity_count, preprocess),
        checkpoint=checkpoint,
        classes=class_names(classes),
        batch=None if dynamic_batch else batch,
        with_superpixels=with_superpixels,
        with_features=with_features,
        half_storage=half_storage,
        force=force,
    )
    # The gate checks what the file says, not kernels that happen to be built here.
    open_runner = partial(OnnxRuntimeRunner, native=False)
    bundle = export_bundle(request, open_runner, progress_for_stderr())
    _print(bundle, json)


def export_shipped(model: str, target: Path, progress: Progress) -> Bundle:
    """A model of the zoo with its shipped weights, any batch size, checked as ever."""
    require_modules("exporting a model", "export", _MODULES)
    from edgevit.zoo.registry import find
    from edgevit.zoo.spec import Preprocess
    from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

    entry = find(model)
    pictures = _parity_pictures(None, 8, Preprocess(entry.spec.image_px))
    request = ExportRequest(entry, target, pictures, batch=None)
    return export_bundle(request, partial(OnnxRuntimeRunner, native=False), progress)


def _bundle_folder(output: Path | None, model: str) -> Path:
    target = output or Path(f"{model}.edgevit")
    if target.resolve() == Path.cwd().resolve() or not target.name:
        raise InputError(f"--output {target} is the working folder. Name a folder to make.")
    return target


def _parity_pictures(folder: Path | None, count: int, preprocess: Preprocess) -> Array:
    """Real photographs: the user's, or those in the prebuilt bundle."""
    import numpy as np

    from edgevit.bundle.bundle import Bundle
    from edgevit.images import image_io
    from edgevit.zoo.registry import PREBUILT_BUNDLE

    if folder is None:
        pictures = list(Bundle.open(PREBUILT_BUNDLE).reference().images[:count])
    else:
        files = image_io.files_in(folder)
        picks = np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).round())
        pictures = [image_io.read(files[int(i)]) for i in picks]
    return image_io.batch(pictures, preprocess)


def _print(bundle: Bundle, as_json: bool) -> None:
    import dataclasses

    from edgevit.cli.options import untrained_note
    from edgevit.common.console import print_json, print_table

    manifest = bundle.manifest
    if as_json:
        print_json({"bundle": str(bundle.path), **dataclasses.asdict(manifest)})
        return
    parity = manifest.parity["torch against ONNX Runtime"]
    rows = [
        ("weights", manifest.model.weights),
        ("input", ", ".join(map(str, manifest.inputs))),
        ("output", ", ".join(map(str, manifest.outputs))),
        ("preprocessing", f"{manifest.preprocess.resize} to {manifest.preprocess.size_px} px, RGB"),
        ("classes", str(len(manifest.classes))),
        ("parameters", f"{manifest.model.parameters / 1e6:.2f} M"),
        ("multiply-accumulates", f"{manifest.model.macs / 1e9:.3f} G"),
        ("size", f"{sum(f.bytes for f in manifest.files.values()) / 2**20:.1f} MiB"),
        (
            "parity",
            f"{parity['images']} pictures, memberships match on {parity['membership_matches']}, "
            f"largest logit difference {parity['max_difference']['logits']:.1e}",
        ),
    ]
    if note := untrained_note(bundle):
        rows.insert(0, ("note", note))
    print_table(f"{bundle.path}", ("exported", ""), rows)

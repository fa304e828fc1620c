"""From somebody's classifier, an ONNX file or a torch module, to a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgevit.bundle.bundle import MANIFEST_FILE, Bundle
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress, SilentProgress, stage
from edgevit.common.result import Result
from edgevit.common.storage.folders import refuse_existing
from edgevit.common.tables import Section, Table
from edgevit.results.bundle_summary import bundle_document, input_rows, parity_text
from edgevit.workflows.export import MODULES, bundle_folder, parity_photos
from edgevit.workflows.importing.import_options import ImportOptions
from edgevit.zoo.input_options import Channels

if TYPE_CHECKING:
    from torch import nn

    from edgevit.zoo.interface.preprocess import ResizeMode
    from edgevit.zoo.spec import Layout
    from edgevit_export.importing.import_pipeline import ImportRequest

_IMPORT_MODULES = ("onnx", "onnx_ir", "onnxsim")


@dataclass(frozen=True)
class ImportResult(Result):
    """The new bundle, and in its manifest the report of the parity check."""

    bundle: Bundle

    def to_dict(self) -> dict[str, Any]:
        return bundle_document(self.bundle)

    def sections(self) -> list[Section]:
        manifest = self.bundle.manifest
        model = manifest.model
        rows = [
            ("model", model.weights),
            *input_rows(self.bundle),
            *model.notes.items(),
            ("classes", str(len(manifest.classes))),
            ("parameters", f"{model.parameters / 1e6:.2f} M"),
            ("multiply-accumulates", f"{model.macs / 1e9:.3f} G"),
            ("size", f"{sum(f.bytes for f in manifest.files.values()) / 2**20:.1f} MiB"),
            *((name, parity_text(report)) for name, report in manifest.parity.items()),
        ]
        return [Table(f"{self.bundle.path}", ("imported", ""), rows)]


def import_onnx(
    file: Path | str,
    output: Path | str | None = None,
    *,
    classes: Sequence[str] | int | None = None,
    preprocess: str | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    scale: float | None = None,
    resize: str = "squash",
    crop_pct: float | None = None,
    layout: str | None = None,
    colour: str = "rgb",
    size: int | None = None,
    batch: int | None = None,
    logits: str | None = None,
    parity_images: Path | str | None = None,
    parity_count: int = 32,
    force: bool = False,
    progress: Progress | None = None,
) -> ImportResult:
    """Makes a bundle of an ONNX classifier: its preprocessing goes into the graph.

    Args:
        file: the ONNX model. output: the bundle's folder; by default ``NAME.edgevit`` in the
            working folder.
        classes: names in the order of the model's output, or how many.
        preprocess: how its input is normalised: ``imagenet``, ``inception`` or ``clip``.
        mean, std, scale: the same in numbers, (scale * pixel - mean) / std of pixels 0 to 255;
            mean and std for each of the model's channels or one number for all (by default 0 and
            1), scale by default 1/255. With neither, as ImageNet's models are, and the bundle
            notes that nobody said so.
        resize: ``squash`` to the model's size, ``crop`` the square in the middle, ``letterbox``.
        crop_pct: of a crop, its side over the picture's shorter one; by default 0.875.
        layout: ``nchw`` or ``nhwc``, for a model that does not say where its channels are.
        colour: ``bgr`` for a model that wants blue first; mean and std are in that order too.
        size: of the pictures, pixels, for a model that takes any size.
        batch: fixes the batch of a model that takes any; by default it stays as it is.
        logits: the name of the output, for a model with several.
        parity_images, parity_count: as of :func:`edgevit.workflows.export.export`.
        force: replace an existing bundle.

    Raises:
        MissingExtraError: onnx is not installed.
        DamagedError: the file is no ONNX model, or one that contradicts itself.
        InputError: the model is no classifier that edgevit runs, or an option does not fit it.
        CheckFailedError: the bundle does not answer as the model does.
    """
    require_modules("edgevit import", "export", _IMPORT_MODULES)
    from edgevit.common.storage.hashes import sha256_of
    from edgevit_export.importing.read_classifier import read_classifier, refuse_other_files

    options = ImportOptions(
        classes,
        preprocess,
        mean,
        std,
        scale,
        resize,
        crop_pct,
        layout,
        colour,
        size,
        batch,
        logits,
        parity_images,
        parity_count,
        force,
    )
    options.check()
    file, progress = Path(file), progress or SilentProgress()
    refuse_other_files(file)
    target = _free_target(output, file.stem, force)
    with stage(progress, f"read {file.name}"):
        model = read_classifier(file)
    request = _request(
        options,
        model=model,
        source=file.name,
        name=file.stem,
        output=target,
        weights_sha256=sha256_of(file),
    )
    return _imported(request, progress)


def export_module(
    module: nn.Module,
    example: object,
    output: Path | str | None = None,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> ImportResult:
    """Traces a torch module to ONNX and imports that; the bundle is compared with torch too.

    Args:
        module: takes one batch of pictures, and gives one tensor, [B, classes], or a dictionary
            with ``logits``. It stays as it is; a copy is traced, on the CPU.
        example: an input, a float32 or uint8 tensor, [B, 3, H, W] or [B, H, W, 3].
        output: the bundle's folder; by default the class's name in lower case.
        options: those of :func:`import_onnx`; ``batch`` is 1 by default, and None for any.

    Raises:
        MissingExtraError: torch or onnx is not installed.
        InputError: as of :func:`import_onnx`; or torch cannot trace the module.
        CheckFailedError: the bundle does not answer as the module does.
    """
    require_modules("edgevit.export", "export", MODULES)
    kind = type(module).__name__
    return export_traced(
        module,
        example,
        output,
        name=kind.lower(),
        source=f"torch module {kind}",
        options=options,
        progress=progress or SilentProgress(),
    )


def export_traced(
    module: nn.Module,
    example: object,
    output: Path | str | None,
    *,
    name: str,
    source: str,
    options: Mapping[str, Any],
    progress: Progress,
    notes: Mapping[str, str] | None = None,
) -> ImportResult:
    """The same for a module of which more is known.

    Args:
        name, source: what it is called, and where it came from. notes: what a person should know.
    """
    from edgevit_export.importing.trace_module import trace_module

    chosen = ImportOptions(**{"batch": 1, **options})
    chosen.check()
    target = _free_target(output, name, chosen.force)
    with stage(progress, f"trace {type(module).__name__} to ONNX"):
        traced = trace_module(module, example, chosen.batch)
    request = _request(
        chosen,
        model=traced.model,
        source=source,
        name=name,
        output=target,
        torch=traced.answer,
        notes=notes or {},
    )
    return _imported(request, progress)


def _free_target(output: Path | str | None, stem: str, force: bool) -> Path:
    """Where the bundle goes. Raises InputError, before the work, if it may not go there."""
    target = bundle_folder(output, stem)
    refuse_existing(target, force, MANIFEST_FILE)
    return target


def _imported(request: ImportRequest, progress: Progress) -> ImportResult:
    from edgevit_export.importing.import_pipeline import import_bundle
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

    return ImportResult(import_bundle(request, OnnxRuntimeRunner, progress))


def _request(options: ImportOptions, **facts: Any) -> ImportRequest:
    from edgevit_export.importing.import_pipeline import ImportRequest

    classes = options.classes
    return ImportRequest(
        photos=parity_photos(options.parity_images, options.parity_count),
        classes=classes if classes is None or isinstance(classes, int) else tuple(classes),
        normalisation=options.input.normalisation,
        bgr=options.colour == "bgr",
        resize=cast("ResizeMode", options.resize or "squash"),
        crop_pct=options.input.share_of_crop,
        size_px=options.size,
        layout=cast("Layout | None", options.layout),
        logits=options.logits,
        batch=options.batch,
        force=options.force,
        **facts,
    )

"""From weights to a bundle: the model traced to ONNX and checked against torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit.bundle.bundle import MANIFEST_FILE, Bundle
from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import PlannedWork, Result
from edgevit.common.storage.files import resolved
from edgevit.common.storage.folders import refuse_existing
from edgevit.common.tables import Section, Table
from edgevit.results.bundle_summary import bundle_document, input_rows, note_rows, parity_text
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.input_options import Channels, InputOptions
from edgevit.zoo.registry import ModelEntry, find

if TYPE_CHECKING:
    from torch import nn

    from edgevit.images.image_io import Image
    from edgevit.models.classifier import ZooModule
    from edgevit.workflows.importing.import_model import ImportResult

TIMM = "timm:"
MODULES = ("torch", "onnx", "onnx_ir", "onnxsim", "onnxscript", "safetensors")


@dataclass(frozen=True)
class ExportResult(Result):
    """The new bundle, and in its manifest the report of the parity check."""

    bundle: Bundle

    def to_dict(self) -> dict[str, Any]:
        return bundle_document(self.bundle)

    def sections(self) -> list[Section]:
        manifest = self.bundle.manifest
        parity = manifest.parity["torch against ONNX Runtime"]
        rows = [
            *note_rows(self.bundle),
            ("weights", manifest.model.weights),
            *input_rows(self.bundle),
            ("classes", str(len(manifest.classes))),
            ("parameters", f"{manifest.model.parameters / 1e6:.2f} M"),
            ("multiply-accumulates", f"{manifest.model.macs / 1e9:.3f} G"),
            ("size", f"{sum(f.bytes for f in manifest.files.values()) / 2**20:.1f} MiB"),
            (
                "parity",
                f"same superpixels on {parity['membership_matches']}; {parity_text(parity)}",
            ),
        ]
        return [Table(f"{self.bundle.path}", ("exported", ""), rows)]


def export(
    model: str | nn.Module,
    output: Path | str | None = None,
    *,
    checkpoint: Path | str | None = None,
    weights_key: str | None = None,
    image_px: int | None = None,
    resample_positions: bool = False,
    preprocess: str | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    scale: float | None = None,
    resize: str | None = None,
    crop_pct: float | None = None,
    classes: tuple[str, ...] | int | None = None,
    batch: int | None = 1,
    with_superpixels: bool = False,
    with_features: bool = False,
    half_storage: bool = False,
    parity_images: Path | str | None = None,
    parity_count: int = 32,
    force: bool = False,
    progress: Progress | None = None,
) -> ExportResult | ImportResult:
    """Traces a model to ONNX, checks it against torch, and writes a bundle.

    Args:
        model: a name of the zoo, ``MODEL`` or ``MODEL:WEIGHTS``, or a module that was built from
            the zoo (in memory, trained or not), whose weights are taken as they are. ``timm:NAME``
            is a model of an installed timm, with timm's preprocessing where none is stated.
        output: the bundle's folder; by default ``NAME.edgevit`` in the working folder.
        checkpoint: weights, .safetensors, .pth or .pt; by default those that the package ships.
            Those of a plain ViT may be timm's or transformers'.
        weights_key: of a .pth with several sets of weights, which to take; by default their moving
            average (such as ``model_ema``), if there is one.
        image_px: export for pictures of another size; weights must fit it.
        resample_positions: interpolate the checkpoint's position embeddings, bicubic, where they
            are of another image size.
        preprocess, mean, std, scale: how pixels are normalised; see :func:`edgevit.import_onnx`.
            By default as the checkpoint says, or as ImageNet's.
        resize, crop_pct: how pictures get the model's size; see there.
        classes: names, or how many; by default what the checkpoint says.
        batch: a fixed batch size, or None for any size, chosen at run time.
        with_superpixels: also give the superpixel map, int32 [B, rows, columns].
        with_features: also give the feature maps of a LaViT or a ViT, float32 [B, C, H, W].
        half_storage: store weights that float16 holds exactly as float16: half the file.
        parity_images: a folder of pictures for the parity check; by default the package's own.
        parity_count: at most so many of them, spread evenly.
        force: replace an existing bundle.

    Raises:
        MissingExtraError: torch or onnx is not installed.
        InputError: the model, weights, classes or output folder cannot be used.
        CheckFailedError: the exported model does not compute what the torch module computes.
    """
    require_modules("edgevit export", "export", MODULES)
    from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle
    from edgevit_export.convert.weights import Adaptation
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

    stated = InputOptions(preprocess, mean, std, scale, resize, crop_pct)
    stated.check()
    own = None if checkpoint is None else Path(checkpoint)
    if isinstance(model, str) and model.startswith(TIMM):
        _refuse_for_timm(resample_positions, with_superpixels, with_features, half_storage)
        from edgevit.workflows.importing.timm_model import TimmRequest, export_timm

        options = {
            "classes": classes,
            "batch": batch,
            "parity_images": parity_images,
            "parity_count": parity_count,
            "force": force,
        }
        name = model.removeprefix(TIMM)
        wanted = TimmRequest(name, output, own, weights_key, image_px, stated, options)
        return export_timm(wanted, progress or SilentProgress())
    entry, module = _model(model, checkpoint)
    if module is not None:
        _refuse_for_module(stated, image_px, resample_positions)
    elif image_px is not None and image_px != entry.spec.image_px:
        entry = replace(entry, spec=entry.spec.at_size(image_px))
    request = ExportRequest(
        entry=entry,
        module=module,
        output=bundle_folder(output, entry.file_stem),
        pictures=parity_photos(parity_images, parity_count),
        checkpoint=own,
        weights_key=weights_key,
        adaptation=Adaptation(stated, resample_positions),
        classes=classes,
        batch=batch,
        with_superpixels=with_superpixels,
        with_features=with_features,
        half_storage=half_storage,
        force=force,
    )
    return ExportResult(export_bundle(request, OnnxRuntimeRunner, progress or SilentProgress()))


def plan_export(
    model: str,
    output: Path | str | None = None,
    *,
    checkpoint: Path | str | None = None,
    classes: tuple[str, ...] | int | None = None,
    batch: int | None = 1,
    force: bool = False,
) -> PlannedWork:
    """What :func:`export` would do with the same arguments; weights are not read.

    Raises:
        InputError: as :func:`export`.
    """
    require_modules("edgevit export", "export", MODULES)
    entry = find(model)
    target = bundle_folder(output, entry.file_stem)
    refuse_existing(target, force, MANIFEST_FILE)
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise InputError(f"No such checkpoint: {checkpoint}.")
    count = classes if isinstance(classes, int) else len(classes or ())
    return PlannedWork(
        "export",
        {
            "model": entry.spec.name,
            "weights": str(checkpoint or entry.weights or "random weights"),
            "classes": str(count or "as the weights say"),
            "batch": str(batch or "any"),
            "output": str(target),
        },
    )


def _model(
    model: str | nn.Module, checkpoint: Path | str | None
) -> tuple[ModelEntry, ZooModule | None]:
    if isinstance(model, str):
        return find(model), None
    from edgevit.models.classifier import ZooModule

    if not isinstance(model, ZooModule):
        raise InputError(
            f"Got a {type(model).__name__}; expected the name of a zoo model or a module that "
            "edgevit.models.build made. Another network is exported with an input that it takes: "
            "edgevit.export(module, example=torch.zeros(1, 3, 224, 224), classes=NAMES)."
        )
    if checkpoint is not None:
        raise InputError(
            "Got a module and a checkpoint; a module brings its own weights. Give one of them."
        )
    return ModelEntry(model.spec, ""), model


def _refuse_for_timm(resample: bool, superpixels: bool, features: bool, half: bool) -> None:
    """What only models of the zoo have."""
    given = {
        "--resample-positions": resample,
        "--with-superpixels": superpixels,
        "--with-features": features,
        "--fp16-storage": half,
    }
    if asked := [name for name, wanted in given.items() if wanted]:
        raise InputError(
            f"{', '.join(asked)} {'is' if len(asked) == 1 else 'are'} for models of the zoo, and "
            "not for those of timm. Leave out."
        )


def _refuse_for_module(stated: InputOptions, image_px: int | None, resample: bool) -> None:
    """A module in memory was built with all of this."""
    given = [*stated.named, *(["--image-px"] if image_px is not None else [])]
    given += ["--resample-positions"] if resample else []
    if given:
        raise InputError(
            f"Got a module and {', '.join(given)}; a module was built for its size and its "
            "normalisation. Build it from another spec: dataclasses.replace(spec, mean=...)."
        )


def bundle_folder(output: Path | str | None, model: str) -> Path:
    target = Path(output or f"{model}.edgevit")
    if resolved(target) == resolved(Path.cwd()) or not target.name:
        raise InputError(f"--output {target} is the working folder. Name a folder to make.")
    return target


def parity_photos(folder: Path | str | None, count: int) -> list[Image]:
    """Real photographs, uint8 RGB [H, W, 3]: the user's, or those in the prebuilt bundle."""
    import numpy as np

    from edgevit.images import image_io
    from edgevit.images.image_files import files_in

    if folder is None:
        return list(Bundle.open(PREBUILT_BUNDLE).reference().images[:count])
    files = files_in(Path(folder))
    picks = np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).round())
    return [image_io.read(files[int(i)]) for i in picks]

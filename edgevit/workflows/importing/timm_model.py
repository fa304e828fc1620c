"""A model of an installed timm, with the preprocessing that timm says it was trained with."""

from __future__ import annotations

import difflib
import importlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit.common.errors import InputError
from edgevit.common.installation.install_command import install_command
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress, stage
from edgevit.common.untrusted.parsers import parsing
from edgevit.workflows.export import MODULES, TIMM
from edgevit.workflows.importing.import_model import ImportResult, export_traced
from edgevit.zoo.input_options import InputOptions

if TYPE_CHECKING:
    from torch import nn

_RESIZES = {"center": "crop", "squash": "squash"}  # timm's crop_mode to our --resize
_PURPOSE = "edgevit export --model timm:NAME"


@dataclass(frozen=True)
class TimmRequest:
    """What to take from timm, and what is said otherwise; see :func:`.export.export`.

    name: as ``timm.list_models()`` lists it, perhaps with a tag: ``resnet18.a1_in1k``.
    checkpoint: weights in the place of timm's own, which timm downloads.
    options: those of :class:`.import_options.ImportOptions` that are not about the input.
    """

    name: str
    output: Path | str | None
    checkpoint: Path | None
    weights_key: str | None
    image_px: int | None
    stated: InputOptions
    options: Mapping[str, Any]


def export_timm(request: TimmRequest, progress: Progress) -> ImportResult:
    """Builds the model with timm, traces it, and makes a bundle as an import does.

    Raises:
        MissingExtraError: timm, torch or onnx is not installed.
        InputError: timm cannot be imported, has no such model or cannot load its weights; its
            preprocessing is none of edgevit's, and nothing else was said.
        CheckFailedError: the bundle does not answer as the module does.
    """
    require_modules(_PURPOSE, "timm", ("timm", *MODULES))
    timm = _imported("timm")
    data = _imported("timm.data")
    with stage(progress, f"load {request.name} from timm"):
        module = _built(timm, request)
        config = data.resolve_model_data_config(module)
    size_px = request.image_px or _size(config, request.name)
    given = _preprocessing(config, request.stated, request.name)
    options = dict(request.options)
    if options.get("classes") is None:
        options["classes"] = _class_names(data, module)
    import torch

    return export_traced(
        module,
        torch.zeros(1, 3, size_px, size_px),
        request.output,
        name=request.name.replace("/", "-").replace(":", "-"),
        source=_source(request),
        notes={"interpolation": _note_on_interpolation(config)},
        options={**options, **vars(given)},
        progress=progress,
    )


def _imported(name: str) -> Any:
    """A module of timm, which fails to import beside a torchvision of another build of torch."""

    def refusal(reason: str) -> InputError:
        return InputError(
            f"The Python module '{name}' is installed but cannot be imported: {reason}. It needs a "
            f"torchvision of the same build as torch. Install both again: {install_command('timm')}"
        )

    with parsing(refusal):
        return importlib.import_module(name)


def _built(timm: Any, request: TimmRequest) -> nn.Module:
    from edgevit.models.checkpoint import load_into, read_checkpoint

    if not timm.is_model(request.name) and ":" not in request.name:
        raise InputError(f"timm has no model '{request.name}'.{_nearest(timm, request.name)}")

    def refusal(reason: str) -> InputError:
        return InputError(
            f"timm cannot build {request.name}: {reason}. With weights of your own, give them: "
            "--checkpoint FILE"
        )

    own = request.checkpoint
    checkpoint = None if own is None else read_checkpoint(own, request.weights_key)
    with parsing(refusal):
        module: nn.Module = timm.create_model(
            request.name, pretrained=checkpoint is None, **_classes_of(checkpoint)
        )
    if checkpoint is not None:
        load_into(module, checkpoint, str(own))
    return module


def _classes_of(checkpoint: Any) -> dict[str, int]:
    """A head as large as the checkpoint's, where its name says which it is."""
    for key in ("head.bias", "classifier.bias", "fc.bias", "head.fc.bias"):
        bias = checkpoint.tensors.get(key) if checkpoint else None
        if bias is not None and bias.ndim == 1:
            return {"num_classes": len(bias)}
    return {}


def _nearest(timm: Any, name: str) -> str:
    near = difflib.get_close_matches(name.partition(".")[0], timm.list_models(), n=3)
    found = f" Did you mean {', '.join(near)}?" if near else ""
    return f"{found} timm.list_models() lists all."


def _size(config: Mapping[str, Any], name: str) -> int:
    channels, height, width = config["input_size"]
    if (channels, height) != (3, width):
        raise InputError(
            f"{name} takes pictures of {channels} channels, {height} x {width} pixels; edgevit "
            "needs three channels and a square. Choose another model, or give --image-px."
        )
    return int(height)


def _preprocessing(config: Mapping[str, Any], stated: InputOptions, name: str) -> InputOptions:
    """timm's, but for what was said otherwise."""
    given = stated
    if stated.normalisation is None:
        given = replace(given, mean=list(config["mean"]), std=list(config["std"]))
    if stated.resize is not None:
        return given
    mode, share = config.get("crop_mode") or "center", float(config.get("crop_pct") or 1.0)
    resize = _RESIZES.get(mode)
    if resize is None or (resize == "squash" and share < 1):
        raise InputError(
            f"{name} was trained on pictures that timm resizes by crop_mode '{mode}' with crop_pct "
            f"{share:g}, which edgevit does not do. Say what comes nearest: --resize crop "
            f"--crop-pct {share:g}, or --resize squash"
        )
    return replace(given, resize=resize, crop_pct=share if resize == "crop" else None)


def _class_names(data: Any, module: nn.Module) -> Sequence[str] | int | None:
    """timm's names; numbers for classes that it does not name; None where it does not say them."""
    config = getattr(module, "pretrained_cfg", None) or {}
    labels, texts = config.get("label_names"), config.get("label_descriptions")
    count = int(getattr(module, "num_classes", 0))
    subset = data.infer_imagenet_subset(module)
    if not labels and subset:
        info = data.ImageNetInfo(subset)
        labels, texts = info.label_names(), info.label_descriptions()
    if not labels or len(labels) != count:
        return count or None
    if isinstance(texts, Mapping):
        texts = [texts.get(label, label) for label in labels]
    return _distinct(list(labels), list(texts or labels))


def _distinct(labels: Sequence[str], texts: Sequence[str]) -> list[str]:
    """ImageNet has two classes called crane: these are told apart by their labels."""
    often = Counter(texts)
    return [
        f"{text} ({label})" if often[text] > 1 else text
        for label, text in zip(labels, texts, strict=True)
    ]


def _source(request: TimmRequest) -> str:
    weights = "pretrained" if request.checkpoint is None else request.checkpoint.name
    return f"{TIMM}{request.name}, {weights}"


def _note_on_interpolation(config: Mapping[str, Any]) -> str:
    return (
        f"timm resizes with {config.get('interpolation', 'bicubic')} interpolation, edgevit by the "
        "mean of areas"
    )

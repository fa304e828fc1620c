"""The road from somebody's ONNX file to a bundle, on one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgevit.bundle.bundle import (
    FLOAT_VARIANT,
    MANIFEST_FILE,
    Bundle,
    Manifest,
    ModelInfo,
    Variant,
    variant_file,
)
from edgevit.bundle.edit import create, seal
from edgevit.bundle.reference import Reference, write_reference
from edgevit.common.errors import DamagedError, EdgevitError, InputError
from edgevit.common.progress import Progress, stage
from edgevit.common.storage.folders import refuse_existing
from edgevit.common.untrusted.parsers import parsing
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.agreement import Agreement, AtLeast, Limits, compare, require
from edgevit.inference.batches import infer_all
from edgevit.inference.node_names import IMPORTED
from edgevit.inference.runner import Array, OpenRunner
from edgevit.zoo.interface.preprocess import Preprocess, ResizeMode
from edgevit.zoo.interface.tensors import LOGITS
from edgevit.zoo.normalisation import PRESETS, Normalisation
from edgevit.zoo.spec import Layout
from edgevit_export.convert.graph import rewritten, tensor_specs
from edgevit_export.convert.library_versions import library_versions
from edgevit_export.convert.simplify import simplify
from edgevit_export.importing.model_input import ModelInput, find_input, fix_input
from edgevit_export.importing.model_output import ModelOutput, find_output, give_logits
from edgevit_export.importing.opset import at_our_opset, opset_of
from edgevit_export.importing.origin_names import name_by_origin
from edgevit_export.importing.original_runner import (
    OriginalRunner,
    answers_of,
    by_class,
)
from edgevit_export.importing.put_preprocessing import PutPreprocessing
from edgevit_export.importing.read_classifier import check_classifier
from edgevit_export.inspect.work import products_of
from edgevit_export.passes.name_by_module import name_new_nodes
from edgevit_export.passes.regroup_gelu import regroup_gelu

PARITY = "original ONNX model against the bundle"
TORCH_PARITY = "torch against the bundle"
_REFERENCE_PICTURES = 8
_LEAST_TOLERANCE, _TOLERANCE = 1e-4, 1e-5  # of logits: absolute, and of the largest
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
_PROBABLY = 1e-3  # by which probabilities miss a sum of 1


@dataclass(frozen=True)
class ImportRequest:
    """What to import and how.

    model: standard ops, functions inlined, as :mod:`.read_classifier` gives it.
    source: its file, or what it was traced from. weights_sha256: of the file.
    photos: uint8 RGB [H, W, 3] of any size, for the parity check; the first are the reference.
    classes: names, or how many.
    normalisation: of its input; None: ImageNet's, or none for a uint8 input.
    bgr: whether it wants blue first. resize, crop_pct: as of the manifest.
    size_px, layout, logits: for a model that does not say it itself.
    batch: a fixed batch size for a model that takes any; None: as the model has it.
    torch: what the model was traced from: prepared pictures to answers, [B, ...].
    notes: what a person should know of where it came from.
    """

    model: onnx.ModelProto
    source: str
    name: str
    output: Path
    photos: Sequence[Image]
    classes: tuple[str, ...] | int | None
    weights_sha256: str | None = None
    normalisation: Normalisation | None = None
    bgr: bool = False
    resize: ResizeMode = "squash"
    crop_pct: float = 1.0
    size_px: int | None = None
    layout: Layout | None = None
    logits: str | None = None
    batch: int | None = None
    force: bool = False
    torch: Callable[[Array], Array] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Found:
    """What the model is. notes: what a person should know of how it was taken."""

    input: ModelInput
    output: ModelOutput
    normalisation: Normalisation | None
    classes: int
    notes: Mapping[str, str] = field(default_factory=dict)


def import_bundle(request: ImportRequest, open_runner: OpenRunner, progress: Progress) -> Bundle:
    """Runs every stage and returns the opened bundle; a failure leaves nothing behind.

    Args:
        open_runner: opens a serialised model in ONNX Runtime.

    Raises:
        InputError: the model is no classifier that edgevit runs, or an option does not fit it.
        CheckFailedError: the bundle does not answer as the model does.
    """
    refuse_existing(request.output, request.force, MANIFEST_FILE)
    with stage(progress, "find input, output and classes"):
        found = _examined(request, open_runner)
        classes = _class_names(request.classes, found.classes)
    with create(request.output, request.force) as folder:
        with stage(progress, "put the preprocessing into the graph and simplify it"):
            model = _converted(request, found)
        preprocess = _preprocess(request, found)
        pictures = image_io.batch(request.photos, preprocess)
        with stage(
            progress, f"check that the bundle answers as the model, {len(pictures)} pictures"
        ):
            answers, parity = _parity(request, found, model, pictures, open_runner)
            notes = {**request.notes, **found.notes, **_note_on(answers, found.output)}
        with stage(progress, "write the bundle"):
            onnx.save(model, folder / variant_file(FLOAT_VARIANT))
            few = slice(_REFERENCE_PICTURES)
            write_reference(folder, Reference(pictures[few], {LOGITS: answers[few]}))
            info = _model_info(request, model, notes)
            seal(folder, _manifest(info, model, preprocess, classes, parity))
    return Bundle.open(request.output)


def _examined(request: ImportRequest, open_runner: OpenRunner) -> _Found:
    with parsing(lambda reason: DamagedError(_contradicts_itself(request.source, reason))):
        found = find_input(request.model, request.size_px, request.layout)
        output = find_output(request.model, request.logits)
        check_classifier(request.model)
    normalisation, notes = _normalisation(request, found)
    found, said = _with_batch(request, found)
    notes |= said
    original = give_logits(fix_input(request.model, found), output)
    with open_runner(original.SerializeToString()) as runner:
        answer = answers_of(runner, found.name)
        batch = found.batch or 1
        classes = by_class(answer(_blank(found, batch)), batch).shape[1]
        if found.batch is None and not _takes_any_batch(answer, found, classes):
            found = _of_batch(found, 1)
            notes["batch"] = "1: the model says that it takes any, and cannot take 2"
    if output.activation is not None:
        notes["removed"] = f"{output.activation} at the end, so that the output holds logits"
    if output.activation == "Sigmoid":
        notes["probabilities"] = "of one class among all; the model itself answers each on its own"
    return _Found(found, output, normalisation, classes, notes)


def _normalisation(
    request: ImportRequest, found: ModelInput
) -> tuple[Normalisation | None, dict[str, str]]:
    if found.dtype == "uint8":
        if request.normalisation is not None:
            raise InputError(
                f"The model's input is {found}: it takes pixels 0 to 255 and normalises them "
                "itself. Leave out --mean, --std, --scale and --preprocess."
            )
        return None, {"normalisation": "the model's own"}
    if request.normalisation is None:
        usual = PRESETS["imagenet"]
        return usual, {"normalisation": f"{usual}: ImageNet's, because none was given"}
    return request.normalisation, {"normalisation": str(request.normalisation)}


def _with_batch(request: ImportRequest, found: ModelInput) -> tuple[ModelInput, dict[str, str]]:
    if request.batch is None:
        fixed = found.batch is not None and found.batch > 1
        note = f"{found.batch}, as the model has it; pictures are answered so many at a time"
        return found, {"batch": note} if fixed else {}
    if found.batch is not None and found.batch != request.batch:
        raise InputError(
            f"--batch got {request.batch}, but the model takes {found.batch} pictures at a time "
            "and no other number. Leave the option out, or export the model with a dynamic batch."
        )
    return _of_batch(found, request.batch), {}


def _of_batch(found: ModelInput, batch: int) -> ModelInput:
    return ModelInput(found.name, found.dtype, found.layout, batch, found.size_px)


def _takes_any_batch(answer: Callable[[Array], Array], found: ModelInput, classes: int) -> bool:
    """Many exporters call the batch dynamic and write 1 into a reshape."""
    try:
        return by_class(answer(_blank(found, 2)), 2).shape == (2, classes)
    except EdgevitError:
        return False


def _blank(found: ModelInput, batch: int) -> Array:
    return np.zeros(found.shape(batch), found.dtype)


def _class_names(asked: tuple[str, ...] | int | None, answered: int) -> tuple[str, ...]:
    if asked is None:
        raise InputError(
            f"The model knows {answered} classes; name them: --classes FILE, a text file with a "
            f"name a line, or --classes {answered} to number them."
        )
    given = asked if isinstance(asked, int) else len(asked)
    if given != answered:
        background = (
            " Models of TensorFlow often begin with a class 'background'."
            if answered == 1001
            else ""
        )
        raise InputError(
            f"--classes gives {given} classes, but the model answers with {answered} numbers. "
            f"Give a file with {answered} names, in the order of the model's output.{background}"
        )
    return tuple(map(str, range(asked))) if isinstance(asked, int) else asked


def _converted(request: ImportRequest, found: _Found) -> onnx.ModelProto:
    """The model as a bundle has it."""
    put = PutPreprocessing(found.input, found.normalisation, request.bgr, found.classes)
    with parsing(lambda reason: InputError(_cannot(request.source, reason))):
        named = rewritten(give_logits(request.model, found.output), name_by_origin)
        fixed = fix_input(named, found.input)
        ours = rewritten(at_our_opset(fixed, request.source), put)
        finished = rewritten(simplify(ours), regroup_gelu, name_new_nodes)
        onnx.checker.check_model(finished, full_check=True)
        return finished


def _contradicts_itself(source: str, reason: str) -> str:
    return f"{source} is no ONNX model that can be used ({reason}). Export or copy it again."


def _cannot(source: str, reason: str) -> str:
    return (
        f"{source} could be read, but not rewritten: {reason}. Export it again, with another "
        "version of the exporter or at opset 18."
    )


def _preprocess(request: ImportRequest, found: _Found) -> Preprocess:
    same = Normalisation((0, 0, 0), (1, 1, 1))  # of uint8: what the model does is not known
    mean, std = (found.normalisation or same).of_unit_pixels
    if request.bgr:
        mean, std = mean[::-1], std[::-1]
    return Preprocess(
        found.input.size_px,
        request.resize,
        mean=mean,
        std=std,
        crop_pct=request.crop_pct,
    )


def _parity(
    request: ImportRequest,
    found: _Found,
    model: onnx.ModelProto,
    pictures: Array,
    open_runner: OpenRunner,
) -> tuple[Array, dict[str, Any]]:
    """The model's own logits, float32 [n, classes], and what the comparisons found."""
    fixed = give_logits(fix_input(request.model, found.input), found.output)
    with open_runner(fixed.SerializeToString()) as runner:
        answer = answers_of(runner, found.input.name)
        original = OriginalRunner(answer, found.input, found.normalisation, request.bgr)
        expected = infer_all(original, pictures)[LOGITS]
    if not np.isfinite(expected).all():
        raise InputError(
            f"{request.source} answers pictures with NaN or infinity. Look at its weights, and at "
            "whether it takes pixels of this range (--scale)."
        )
    with open_runner(model.SerializeToString()) as runner:
        got = infer_all(runner, pictures)[LOGITS]
    found_parity = {PARITY: _required(expected, got, PARITY).to_dict()}
    if request.torch is not None:
        module = OriginalRunner(request.torch, found.input, found.normalisation, request.bgr)
        answers = infer_all(module, pictures)[LOGITS]
        same = found.output.activated(got)
        found_parity[TORCH_PARITY] = _required(answers, same, TORCH_PARITY).to_dict()
    return expected, found_parity


def _required(expected: Array, got: Array, what: str) -> Agreement:
    tolerance = max(_LEAST_TOLERANCE, _TOLERANCE * float(np.abs(expected).max()))
    limits = Limits("float32", AtLeast(0.995), AtLeast(1.0), tolerance)
    agreement = compare({LOGITS: expected}, {LOGITS: got}, limits)
    require(
        agreement,
        f"Parity failed, {what}",
        "Nothing was written. Please report it with the model and the versions of onnx and "
        "onnxruntime.",
    )
    return agreement


def _note_on(answers: Array, output: ModelOutput) -> dict[str, str]:
    """What answers look like, where no softmax was found behind them."""
    sums = answers.sum(axis=1)
    if output.activation is None and answers.min() >= 0 and abs(sums - 1).max() < _PROBABLY:
        note = (
            "its answers are 0 to 1 and add up to 1: they seem to be probabilities already, and "
            "edgevit's will be too even. Export the model without its softmax"
        )
        return {"logits": note}
    return {}


def _model_info(
    request: ImportRequest, model: onnx.ModelProto, notes: Mapping[str, str]
) -> ModelInfo:
    weights = (w for w in request.model.graph.initializer if w.data_type in _FLOATS)
    return ModelInfo(
        name=request.name,
        family=IMPORTED,
        parameters=sum(prod(weight.dims) for weight in weights),
        macs=sum(work.macs for work in products_of(model)),
        trained=True,
        weights=request.source,
        weights_sha256=request.weights_sha256,
        spec={},
        notes={"opset": str(opset_of(request.model)), **notes},
    )


def _manifest(
    info: ModelInfo,
    model: onnx.ModelProto,
    preprocess: Preprocess,
    classes: tuple[str, ...],
    parity: Mapping[str, Any],
) -> Manifest:
    graph = ir.from_proto(model).graph
    return Manifest(
        model=info,
        inputs=tensor_specs(graph.inputs),
        outputs=tensor_specs(graph.outputs),
        preprocess=preprocess,
        classes=classes,
        variants={FLOAT_VARIANT: Variant(variant_file(FLOAT_VARIANT), "float32", "float32")},
        versions=library_versions(),
        superpixel_map=None,
        parity=parity,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )

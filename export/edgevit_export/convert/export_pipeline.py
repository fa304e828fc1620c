"""The road from weights to a bundle, on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from edgevit.bundle.bundle import (
    FLOAT_VARIANT,
    MANIFEST_FILE,
    SUPERPIXEL_FILE,
    Bundle,
    Manifest,
    ModelInfo,
    Variant,
    variant_file,
)
from edgevit.bundle.edit import create, seal
from edgevit.bundle.reference import Reference, write_reference
from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.progress import Progress, stage
from edgevit.common.storage.folders import refuse_existing
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.images.training_split import split_beside
from edgevit.inference.agreement import (
    EXPORT_LIMITS,
    Agreement,
    compare,
    matching_pictures,
    require,
)
from edgevit.inference.batches import infer_all
from edgevit.inference.runner import Array, OpenRunner
from edgevit.models.classifier import ZooModule
from edgevit.models.count import count
from edgevit.models.dense.detector import PLACE_BOXES
from edgevit.models.dense.segmenter import CLASS_MAP
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import LOGITS, SUPERPIXEL_MAP
from edgevit.zoo.registry import ModelEntry
from edgevit.zoo.tasks import TASK_OUTPUTS
from edgevit_export.convert.graph import Pass, rewritten, tensor_specs
from edgevit_export.convert.library_versions import library_versions
from edgevit_export.convert.simplify import simplify
from edgevit_export.convert.torch_runner import TorchRunner
from edgevit_export.convert.trace import trace
from edgevit_export.convert.weights import Adaptation, WeightedModel, load_model, model_in_memory
from edgevit_export.passes.halve_weights import halve_weights
from edgevit_export.passes.keep_outputs import keep_outputs
from edgevit_export.passes.name_by_module import name_by_module, name_new_nodes
from edgevit_export.passes.regroup_gelu import regroup_gelu

_REFERENCE_PICTURES = 8


@dataclass(frozen=True)
class ExportRequest:
    """What to export and how.

    batch: a fixed batch size, or None for a dynamic one.
    with_superpixels: also give ``superpixels``, int32 [B, rows, columns] of cells.
    with_features: also give the feature maps of the spec, float32 [B, D, H, W].
    half_storage: store weights that float16 holds exactly as float16 (half the file).
    pictures: the parity gate's, and the bundle's reference: uint8 [n, size, size, 3], or decoded
        photos of any size, which are prepared as the model's.
    module: a module in memory, in the place of a checkpoint.
    """

    entry: ModelEntry
    output: Path
    pictures: Array | Sequence[Image]
    checkpoint: Path | None = None
    weights_key: str | None = None
    classes: tuple[str, ...] | int | None = None
    batch: int | None = 1
    with_superpixels: bool = False
    with_features: bool = False
    half_storage: bool = False
    force: bool = False
    module: ZooModule | None = None
    adaptation: Adaptation = field(default_factory=Adaptation)


def export_bundle(request: ExportRequest, open_runner: OpenRunner, progress: Progress) -> Bundle:
    """Runs every stage and returns the opened bundle; a failure leaves nothing behind.

    Args:
        open_runner: opens a serialised model in the runtime that the parity gate checks.

    Raises:
        InputError: weights, classes, options or the output folder cannot be used.
        CheckFailedError: the exported model does not compute what the torch module computes.
    """
    has_superpixels = request.entry.spec.has_superpixels
    if request.with_superpixels and not has_superpixels:
        raise InputError(
            f"{request.entry.spec.name} has no superpixels; leave out --with-superpixels."
        )
    if request.with_features and not request.entry.spec.feature_maps:
        raise InputError(
            f"{request.entry.spec.name} has no feature maps; leave out --with-features."
        )
    refuse_existing(request.output, request.force, MANIFEST_FILE)
    with stage(progress, "load the weights"):
        model = _weighted(request)
        pictures = _prepared(request.pictures, model.module.spec.preprocess)
    with create(request.output, request.force) as folder:
        with stage(progress, "trace the torch module to ONNX"):
            traced = rewritten(trace(model.module, request.batch), name_by_module)
        with stage(progress, "simplify the graph"):
            probe = rewritten(simplify(traced), regroup_gelu, name_new_nodes)
        with stage(progress, "set outputs and the storage of weights"):
            deployed = _deployed(probe, request)
        with stage(progress, f"check that ONNX Runtime answers as torch, {len(pictures)} pictures"):
            expected = infer_all(TorchRunner(model.module), pictures)
            _refuse_infinite_answers(expected, model)
            report = _check_parity(expected, probe, deployed, pictures, open_runner)
        with stage(progress, "write the bundle"):
            outputs = {output.name: expected[output.name] for output in deployed.graph.output}
            reference = Reference(
                pictures[:_REFERENCE_PICTURES],
                {name: array[:_REFERENCE_PICTURES] for name, array in outputs.items()},
            )
            onnx.save(deployed, folder / variant_file(FLOAT_VARIANT))
            if has_superpixels:
                onnx.save(_part(probe, [SUPERPIXEL_MAP]), folder / SUPERPIXEL_FILE)
            write_reference(folder, reference)
            if request.checkpoint and (split := split_beside(request.checkpoint)):
                split.write(folder)
            seal(folder, _manifest(request, model, deployed, report))
    return Bundle.open(request.output)


def _weighted(request: ExportRequest) -> WeightedModel:
    if request.module is not None:
        return model_in_memory(request.module, request.classes)
    return load_model(
        request.entry,
        request.checkpoint,
        request.classes,
        request.weights_key,
        request.adaptation,
    )


def _prepared(pictures: Array | Sequence[Image], preprocess: Preprocess) -> Array:
    """Pictures as the model's input."""
    return pictures if isinstance(pictures, np.ndarray) else image_io.batch(pictures, preprocess)


def _refuse_infinite_answers(outputs: Mapping[str, Array], model: WeightedModel) -> None:
    """Of a mask what it is read off is looked at: bytes are always finite."""
    read_off = next((outputs[n] for n in (LOGITS, CLASS_MAP, PLACE_BOXES) if n in outputs), None)
    if read_off is not None and not np.isfinite(read_off).all():
        raise CheckpointError(
            f"The weights ({model.source}) answer pictures with NaN or infinity: some are far too "
            "large. Take an earlier checkpoint."
        )


def _deployed(probe: onnx.ModelProto, request: ExportRequest) -> onnx.ModelProto:
    """The probe without its taps: what goes to the device."""
    storage = [halve_weights] if request.half_storage else []
    return _part(
        probe, [*TASK_OUTPUTS[request.entry.spec.task], *_extra_outputs(request)], *storage
    )


def _extra_outputs(request: ExportRequest) -> list[str]:
    spec = request.entry.spec
    if request.with_superpixels:
        return [SUPERPIXEL_MAP]
    return list(spec.feature_maps) if request.with_features else []


def _part(probe: onnx.ModelProto, outputs: list[str], *passes: Pass) -> onnx.ModelProto:
    """A copy with some of the outputs, and what they need."""
    part = rewritten(probe, partial(keep_outputs, names=outputs), *passes)
    onnx.checker.check_model(part, full_check=True)
    return part


def _check_parity(
    expected: dict[str, Array],
    probe: onnx.ModelProto,
    deployed: onnx.ModelProto,
    pictures: Array,
    open_runner: OpenRunner,
) -> Agreement:
    """The probe is compared tensor by tensor, the deployed model by its outputs."""
    with open_runner(probe.SerializeToString()) as runner:
        probed = infer_all(runner, pictures)
    report = compare(expected, probed, EXPORT_LIMITS)
    require_parity(report, "the traced model")
    with open_runner(deployed.SerializeToString()) as runner:
        answers = infer_all(runner, pictures)
    matches = matching_pictures(expected, probed)
    deployed_report = compare(expected, answers, EXPORT_LIMITS, matches)
    require_parity(deployed_report, "the deployed model")
    return report


def require_parity(found: Agreement, what: str) -> None:
    """Raises CheckFailedError where an exported model does not answer as torch does."""
    remedy = (
        "Nothing was written. Please report it with the model and the versions of torch, onnx and "
        "onnxruntime."
    )
    require(found, f"Parity failed for {what}", remedy)


def _manifest(
    request: ExportRequest, model: WeightedModel, deployed: onnx.ModelProto, report: Agreement
) -> Manifest:
    spec, size = model.module.spec, count(model.module)
    graph = ir.from_proto(deployed).graph
    info = ModelInfo(
        name=spec.name,
        family=spec.family,
        parameters=size.parameters,
        macs=size.macs,
        trained=model.trained,
        weights=model.source,
        weights_sha256=model.sha256,
        spec=asdict(spec),
        notes=model.notes,
    )
    stored = "float16 where exact" if request.half_storage else "float32"
    return Manifest(
        model=info,
        inputs=tensor_specs(graph.inputs),
        outputs=tensor_specs(graph.outputs),
        preprocess=spec.preprocess,
        task=spec.task,
        classes=model.classes,
        variants={FLOAT_VARIANT: Variant(variant_file(FLOAT_VARIANT), "float32", stored)},
        versions=library_versions(),
        superpixel_map=SUPERPIXEL_FILE if spec.has_superpixels else None,
        parity={"torch against ONNX Runtime": report.to_dict()},
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )

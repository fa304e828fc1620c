"""Adds quantized variants to a bundle: the whole of it on one page."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from msgspec import structs
from numpy.typing import NDArray

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit, refuse_unwritable
from edgevit.bundle.manifest import FLOAT_VARIANT, Variant, variant_file
from edgevit.bundle.temperature import fitted
from edgevit.bundle.variant_names import HALF_VARIANT, int8_variant
from edgevit.common.errors import CheckFailedError, InputError
from edgevit.common.progress import Progress, stage
from edgevit.images.picture_set import PictureSet, picture_set
from edgevit.inference.agreement import LabelledEvalSet
from edgevit.inference.calibration import Pictures
from edgevit.inference.drop import drop_of
from edgevit.inference.runner import OpenRunner
from edgevit.zoo.tasks import LOGITS, task_of_outputs
from edgevit_export.convert.graph import with_stored_weights
from edgevit_export.convert.read_onnx import read_onnx, understood
from edgevit_export.passes.widen_weights import widen_weights
from edgevit_export.quantize.half import to_half
from edgevit_export.quantize.schemes import SCHEMES
from edgevit_export.quantize.search import REFERENCE, Found, Search, answers_of

_HALF_PICTURES = 32
_HALF_EVALUATED = 256


@dataclass(frozen=True)
class QuantizeRequest:
    """What to add to which bundle.

    targets: names of :data:`SCHEMES`. measured: those that this machine runs; the accuracy of the
    others is that of a simulation in ONNX Runtime.
    alternatives_for: the target for which the other forms of INT8 (dynamic, weights only) are made
    too, to be measured against its own; None: for none.
    method: of calibration, or ``auto``.
    labels: of ``evaluation``: int64 [n], places among the bundle's classes, or for a segmentation
    model uint8 [n, size, size], 255 where there is none. evaluation_name: what
    people call these pictures. replace_variants: those of an earlier call; else they are an error.
    """

    bundle: Bundle
    targets: tuple[str, ...]
    measured: frozenset[str]
    alternatives_for: str | None
    calibrating: Pictures
    evaluation: Pictures
    labels: NDArray[Any]
    max_drop: float
    method: str
    seed: int
    evaluation_name: str = "pictures"
    replace_variants: bool = False

    @cached_property
    def evaluation_set(self) -> PictureSet:
        """Which pictures measure the accuracy of every INT8 form."""
        return self.part_of_evaluation(np.arange(len(self.evaluation)))

    def part_of_evaluation(self, places: NDArray[np.int64]) -> PictureSet:
        """The identity of the evaluation pictures at some places."""
        return picture_set(
            self.evaluation_name, self.evaluation.part(places).files, self._label_names(places)
        )

    def _label_names(self, places: NDArray[np.int64]) -> list[str]:
        """A class's name; of a mask the hash of its labels."""
        labels = self.labels[places]
        if labels.ndim > 1:
            return [hashlib.sha256(each.tobytes()).hexdigest() for each in labels]
        return [self.bundle.manifest.classes[label] for label in labels]


def quantize_bundle(
    request: QuantizeRequest, runners: Mapping[str, OpenRunner], progress: Progress
) -> tuple[Bundle, Mapping[str, Found]]:
    """Searches a form for every target and writes the bundle anew, whole or not at all.

    Args:
        runners: what opens a model's bytes, by runtime; ``onnxruntime`` at least.

    Raises:
        InputError: the bundle is quantized already, or holds nothing to quantize.
        DamagedError: the float model cannot be read, or contradicts itself.
        CheckFailedError: its answers are not finite.
    """
    bundle = request.bundle
    refuse_unwritable(bundle)
    alternatives = [
        s.name for s in SCHEMES.values() if not s.is_target and request.alternatives_for
    ]
    schemes = (*request.targets, *alternatives)
    if not request.replace_variants:
        refuse_quantized(bundle, [int8_variant(scheme) for scheme in request.targets])
    file = bundle.variant(FLOAT_VARIANT)
    with understood(file):
        read = read_onnx(file)
        onnx.checker.check_model(read, full_check=True)  # as of what is made of it, below
        task_of_outputs([value.name for value in read.graph.output])  # else nothing can be compared
        model = ir.from_proto(read)
        widen_weights(model)
        model = with_stored_weights(model)
    label = "float: accuracy"
    expected = answers_of(model, request.evaluation, runners[REFERENCE], progress, label)
    if not all(np.isfinite(array).all() for array in expected.values()):
        raise CheckFailedError(
            f"{file}: the float model's answers are not all finite, so that no form of "
            "it can be measured. Export it again, from weights without NaN."
        )
    evaluation = LabelledEvalSet(request.evaluation, expected, "the float model", request.labels)
    search = Search(
        model, request.calibrating, evaluation, runners, progress, request.max_drop, request.method
    )
    found = {
        scheme: search.run(SCHEMES[scheme], explain=scheme in request.measured)
        for scheme in schemes
    }
    half, half_variant = _half(request, search)
    with stage(progress, "write the bundle"), edit(bundle) as draft:
        draft.require_same(bundle, [FLOAT_VARIANT])
        draft.drop(_replaced(draft.bundle, request, [int8_variant(scheme) for scheme in schemes]))
        draft.manifest = structs.replace(draft.manifest, chosen={}, machines={})
        for scheme, result in found.items():
            name = int8_variant(scheme)
            draft.write(variant_file(name), partial(ir.save, result.best.model))
            draft.put(name, _variant(request, scheme, result))
        draft.write(half_variant.file, partial(ir.save, half))
        draft.put(HALF_VARIANT, half_variant)
        if bundle.manifest.task == "classification":
            confidence = fitted(expected[LOGITS], request.labels, request.evaluation_set)
            if confidence is not None:
                draft.manifest = structs.replace(draft.manifest, confidence=confidence)
    return draft.bundle, found


def refuse_quantized(bundle: Bundle, names: Sequence[str]) -> None:
    """Raises InputError for a bundle that has some of these quantized variants."""
    others = sorted(set(bundle.manifest.variants) & set(names))
    if others:
        raise InputError(
            f"{bundle.path} is quantized already ({', '.join(others)}). Export it again first, or "
            "add --force to replace them."
        )


def _replaced(bundle: Bundle, request: QuantizeRequest, names: Sequence[str]) -> set[str]:
    """What goes: everything of before with ``replace_variants``, else what is made anew now."""
    variants = bundle.manifest.variants
    if request.replace_variants:
        return set(variants) - set(_kept(bundle))
    anew = {*names, HALF_VARIANT}
    return {
        name
        for name, variant in variants.items()
        if name in anew or (variant.build and variant.build.source in anew)
    }


def _kept(bundle: Bundle) -> dict[str, Variant]:
    """The float variant, and what was compiled from it."""
    return {
        name: variant
        for name, variant in bundle.manifest.variants.items()
        if name == FLOAT_VARIANT or (variant.build and variant.build.source == FLOAT_VARIANT)
    }


def _variant(request: QuantizeRequest, scheme: str, found: Found) -> Variant:
    target = scheme if SCHEMES[scheme].is_target else str(request.alternatives_for)
    pictures = request.calibrating
    report: dict[str, Any] = {
        **found.best.to_json(),
        "picture_set": asdict(request.evaluation_set),
        "holds": found.holds,
        "max_drop_points": request.max_drop,
        "accuracy_from": "this machine's runtime"
        if target in request.measured
        else "a simulation in ONNX Runtime",
        "calibration_images": len(pictures),
        "calibration_files": [str(file.name) for file in pictures.files],
        "calibration_sha256": pictures.digest(),
        "calibration_seed": request.seed,
        "candidates": {name: float(f"{error:.3g}") for name, error in found.candidates.items()},
        "attempts": [attempt.to_json() for attempt in found.attempts],
        "layers": [
            {
                "name": layer.name,
                "logit_error": float(f"{layer.error:.3g}"),
                "macs_share": round(layer.macs_share, 5),
                "outlier_channels": layer.outlier_channels,
            }
            for layer in found.layers
        ],
    }
    name = variant_file(int8_variant(scheme))
    return Variant(name, "int8", "int8", SCHEMES[scheme].runtime, target, report)


def _half(request: QuantizeRequest, search: Search) -> tuple[ir.Model, Variant]:
    """The FP16 graph and its entry. A processor computes it slowly: few pictures measure it."""
    open_runner = search.runners[REFERENCE]
    half = to_half(search.model, search.calibration.first(_HALF_PICTURES), open_runner)
    onnx.checker.check_model(ir.to_proto(half.model), full_check=True)
    places = search.evaluation.spread(_HALF_EVALUATED)
    few = search.evaluation.part(places)
    got = answers_of(half.model, few.pictures, open_runner, search.progress, "half: accuracy")
    drop = drop_of(few, got)
    report = {
        **drop.to_json(),
        "picture_set": asdict(request.part_of_evaluation(places)),
        "accuracy_from": "a simulation in ONNX Runtime",
        "kept_float": {name: _stored(peak) for name, peak in half.kept_float.items()},
    }
    file = variant_file(HALF_VARIANT)
    return half.model, Variant(file, "float16", "float16", "onnxruntime", "gpu", report)


def _stored(peak: float) -> float:
    """A figure that JSON holds: for what is not finite, float32's largest."""
    return round(peak, 1) if math.isfinite(peak) else float(np.finfo(np.float32).max)

"""Whether a variant of a bundle answers as the float reference does, on the same pictures."""

from __future__ import annotations

from edgevit.bundle.bundle import Bundle
from edgevit.inference.agreement import Agreement, EvalSet, compare, require, variant_limits
from edgevit.inference.batches import PictureSource, infer_all
from edgevit.inference.node_names import IMPORTED
from edgevit.zoo.tasks import TASK_OUTPUTS
from edgevit_runtimes.backends.open_model import open_reference, open_variant

TORCH = "torch, at export"
ORIGINAL = "the original, at import"
ONNX_RUNTIME = "float in plain ONNX Runtime"


def reference_set(bundle: Bundle) -> EvalSet:
    """The bundle's own: the answers of what it was made from to a few real pictures."""
    reference = bundle.reference()
    who = ORIGINAL if bundle.manifest.model.family == IMPORTED else TORCH
    outputs = {name: reference.outputs[name] for name in TASK_OUTPUTS[bundle.manifest.task]}
    return EvalSet(reference.images, outputs, who)


def float_set(bundle: Bundle, pictures: PictureSource, threads: int = 1) -> EvalSet:
    """The float variant's answers to other pictures; export held it against torch."""
    with open_reference(bundle, threads) as runner:
        expected = infer_all(runner, pictures, TASK_OUTPUTS[bundle.manifest.task])
    return EvalSet(pictures, expected, ONNX_RUNTIME)


def agreement(bundle: Bundle, variant: str, evaluation: EvalSet, threads: int = 1) -> Agreement:
    """Runs a variant on the pictures.

    Raises:
        EdgevitError: the variant cannot be opened here.
    """
    with open_variant(bundle, variant, threads) as runner:
        got = infer_all(runner, evaluation.pictures, tuple(evaluation.expected))
    limits = variant_limits(bundle.manifest.variants[variant].precision)
    return compare(evaluation.expected, got, limits)


def require_variant(found: Agreement, variant: str) -> None:
    """The gate of ``edgevit compile``.

    Raises:
        CheckFailedError: it does not hold.
    """
    require(found, f"'{variant}' does not answer as the float reference", "It was not kept.")

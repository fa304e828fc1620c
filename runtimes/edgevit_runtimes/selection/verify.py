"""Every variant of a bundle against the float reference, on the same pictures.

Answers are taken from a variant as it is deployed. Superpixels are inside the model; where the
variant is an ONNX file, a copy that also gives them is opened (``Expose``: that needs the module
``onnx``, so whoever calls this passes it in).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle, Variant
from edgevit.common.errors import DamagedError, EdgevitError, InputError
from edgevit.common.progress import Progress
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.runner import Array, Runner, batch_size, full_batches
from edgevit.zoo.spec import ASSIGNMENT, IMAGE_INPUT, LOGITS
from edgevit_runtimes.backends.open_model import open_reference, open_variant
from edgevit_runtimes.selection.agreement import Agreement

TORCH = "torch, at export"
ONNX_RUNTIME = "float in plain ONNX Runtime"

_BATCH = 8  # for a model that takes any

# (bundle, variant, tensors) to a bundle of which the variant also gives these tensors.
Expose = Callable[[Bundle, str, Sequence[str]], AbstractContextManager[Bundle]]


@dataclass(frozen=True)
class Comparison:
    """One variant against one reference.

    agreement: of the logits.
    superpixels_same: pictures of which every cell is in the same superpixels; None: not compared.
    """

    variant: str
    runtime: str
    reference: str
    agreement: Agreement
    superpixels_same: int | None

    def failures(self) -> list[str]:
        """What does not hold: of the logits, and every superpixel must be the same."""
        found = self.agreement.failures()
        images = self.agreement.images
        if self.superpixels_same is not None and self.superpixels_same < images:
            odd = images - self.superpixels_same
            found.append(f"superpixels differ on {odd} of {images} pictures")
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "runtime": self.runtime,
            "reference": self.reference,
            **self.agreement.to_json(),
            "superpixels_same": self.superpixels_same,
            "failures": self.failures(),
            "holds": not self.failures(),
        }


@dataclass(frozen=True)
class Verification:
    """comparisons: of what was opened.

    not_opened: what is not for this machine, and why, by variant. damaged: what no machine can
    read, and why: that fails.
    """

    comparisons: tuple[Comparison, ...]
    not_opened: Mapping[str, str]
    damaged: Mapping[str, str]

    @property
    def holds(self) -> bool:
        return bool(self.comparisons) and not self.failed

    @property
    def failed(self) -> list[str]:
        """Names of the variants that do not hold, sorted."""
        return sorted({*self.damaged, *(c.variant for c in self.comparisons if c.failures())})


@dataclass(frozen=True)
class VerifyRequest:
    """What to verify.

    pictures: of any size, beside the bundle's own; there may be none.
    expose: None: superpixels are not compared.
    """

    bundle: Bundle
    variants: Sequence[str]
    pictures: Sequence[Image]
    expose: Expose | None
    threads: int = 1


def verify(request: VerifyRequest, progress: Progress) -> Verification:
    """Compares every variant with torch's answers, and on other pictures with the float model's."""
    references = _references(request)
    comparisons: list[Comparison] = []
    not_opened: dict[str, str] = {}
    damaged: dict[str, str] = {}
    with progress.bar("verify", len(request.variants)) as advance:
        for name in request.variants:
            try:
                answers = _answers(request, name, references)
            except DamagedError as error:
                damaged[name] = str(error)
            except EdgevitError as error:
                not_opened[name] = str(error)
            else:
                entry = request.bundle.manifest.variants[name]
                comparisons += [
                    _compare(name, entry, reference, got)
                    for reference, got in zip(references, answers, strict=True)
                ]
            advance(note=name)
    return Verification(tuple(comparisons), not_opened, damaged)


@dataclass(frozen=True)
class _Answers:
    """logits: float32 [n, classes]. assignment: bool [K, cells] of every picture, packed."""

    logits: Array
    assignment: list[Array] | None


@dataclass(frozen=True)
class _Reference:
    """pictures: uint8 [n, size, size, 3]. answers: what is expected for them."""

    name: str
    pictures: Array
    answers: _Answers


def _references(request: VerifyRequest) -> list[_Reference]:
    bundle, expose, threads = request.bundle, request.expose, request.threads
    stored = bundle.reference()
    known: list[tuple[str, Array, Array]] = [(TORCH, stored.images, stored.outputs[LOGITS])]
    if request.pictures:
        resized = image_io.batch(request.pictures, bundle.manifest.preprocess)
        with open_reference(bundle, threads) as runner:
            known.append((ONNX_RUNTIME, resized, np.stack(_each(runner, resized, LOGITS))))
    if expose is None or bundle.manifest.superpixel_map is None:
        return [_Reference(name, shown, _Answers(logits, None)) for name, shown, logits in known]
    with (
        expose(bundle, FLOAT_VARIANT, [ASSIGNMENT]) as opened,
        open_reference(opened, threads) as runner,
    ):
        return [
            _Reference(name, shown, _Answers(logits, _packed_assignments(runner, shown)))
            for name, shown, logits in known
        ]


def _answers(request: VerifyRequest, name: str, references: Sequence[_Reference]) -> list[_Answers]:
    """A variant's answers to the pictures of every reference."""
    bundle, expose, threads = request.bundle, request.expose, request.threads
    with open_variant(bundle, name, threads) as runner:
        logits = [np.stack(_each(runner, r.pictures, LOGITS)) for r in references]
    if expose is None or references[0].answers.assignment is None:
        return [_Answers(given, None) for given in logits]
    packed = _assignments(request, expose, name, references)
    return [_Answers(*both) for both in zip(logits, packed, strict=True)]


def _assignments(
    request: VerifyRequest, expose: Expose, name: str, references: Sequence[_Reference]
) -> list[list[Array] | None]:
    """None for every reference where nobody can see inside: an engine, or a fused tensor."""
    with ExitStack() as opened:
        try:
            seen = opened.enter_context(expose(request.bundle, name, [ASSIGNMENT]))
        except DamagedError:
            raise
        except InputError:
            return [None for _ in references]
        runner = opened.enter_context(open_variant(seen, name, request.threads))
        return [_packed_assignments(runner, reference.pictures) for reference in references]


def _packed_assignments(runner: Runner, pictures: Array) -> list[Array]:
    return [np.packbits(each > 0) for each in _each(runner, pictures, ASSIGNMENT)]


def _each(runner: Runner, pictures: Array, output: str) -> list[Array]:
    """One output, picture by picture."""
    found: list[Array] = []
    for places in full_batches(len(pictures), batch_size(runner.inputs, _BATCH)):
        found.extend(runner.infer({IMAGE_INPUT: pictures[places]})[output])
    return found[: len(pictures)]


def _compare(name: str, entry: Variant, reference: _Reference, got: _Answers) -> Comparison:
    return Comparison(
        variant=name,
        runtime=entry.runtime,
        reference=reference.name,
        agreement=Agreement.between(entry.precision, reference.answers.logits, got.logits),
        superpixels_same=_same(reference.answers.assignment, got.assignment),
    )


def _same(expected: list[Array] | None, got: list[Array] | None) -> int | None:
    if expected is None or got is None:
        return None
    return sum(np.array_equal(a, b) for a, b in zip(expected, got, strict=True))

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
from numpy.typing import NDArray

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle, Variant
from edgevit.common.errors import DamagedError, EdgevitError, InputError
from edgevit.common.progress import Progress
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.agreement import Agreement, EvalSet, compare, variant_limits
from edgevit.inference.batches import PictureSource, infer_all, infer_batches
from edgevit.inference.runner import Array, Runner
from edgevit.zoo.interface.tensors import ASSIGNMENT
from edgevit.zoo.tasks import TASK_OUTPUTS
from edgevit_runtimes.backends.open_model import open_reference, open_variant
from edgevit_runtimes.selection.agreement import float_set, reference_set

Packed = NDArray[np.uint8]
# (bundle, variant, tensors) to a bundle of which the variant also gives these tensors.
Expose = Callable[[Bundle, str, Sequence[str]], AbstractContextManager[Bundle]]


@dataclass(frozen=True)
class Comparison:
    """One variant against one reference.

    has_superpixels: whether superpixels were compared too.
    """

    variant: str
    runtime: str
    reference: str
    agreement: Agreement
    has_superpixels: bool

    @property
    def superpixels_same(self) -> int | None:
        """Pictures of which every cell is in the same superpixels; None: not compared."""
        return self.agreement.membership_matches if self.has_superpixels else None

    def failures(self) -> list[str]:
        """What does not hold: of the logits, and every superpixel must be the same."""
        return self.agreement.failures()

    def to_dict(self) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "runtime": self.runtime,
            "reference": self.reference,
            **self.agreement.answers_dict(),
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
    def failing(self) -> list[Comparison]:
        """Those that do not hold."""
        return [one for one in self.comparisons if one.failures()]

    @property
    def failed(self) -> list[str]:
        """Names of the variants that do not hold, sorted."""
        return sorted({*self.damaged, *(one.variant for one in self.failing)})


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
    """outputs: of the task, by name. assignment: the bits of every picture, uint8 [n, bytes]."""

    outputs: Mapping[str, Array]
    assignment: Packed | None


@dataclass(frozen=True)
class _Reference:
    """assignment: the superpixels of every picture of the set, packed; None: not compared."""

    evaluation: EvalSet
    assignment: Packed | None


def _references(request: VerifyRequest) -> list[_Reference]:
    bundle, expose, threads = request.bundle, request.expose, request.threads
    sets = [reference_set(bundle)]
    if request.pictures:
        resized = image_io.batch(request.pictures, bundle.manifest.preprocess)
        sets.append(float_set(bundle, resized, threads))
    if expose is None or bundle.manifest.superpixel_map is None:
        return [_Reference(each, None) for each in sets]
    with (
        expose(bundle, FLOAT_VARIANT, [ASSIGNMENT]) as opened,
        open_reference(opened, threads) as runner,
    ):
        return [_Reference(each, _packed_assignments(runner, each.pictures)) for each in sets]


def _answers(request: VerifyRequest, name: str, references: Sequence[_Reference]) -> list[_Answers]:
    """A variant's answers to the pictures of every reference."""
    shown = [reference.evaluation.pictures for reference in references]
    with open_variant(request.bundle, name, request.threads) as runner:
        names = TASK_OUTPUTS[request.bundle.manifest.task]
        outputs = [infer_all(runner, pictures, names) for pictures in shown]
    if request.expose is None or references[0].assignment is None:
        return [_Answers(given, None) for given in outputs]
    packed = _assignments(request, request.expose, name, shown)
    return [_Answers(*both) for both in zip(outputs, packed, strict=True)]


def _assignments(
    request: VerifyRequest, expose: Expose, name: str, shown: Sequence[PictureSource]
) -> list[Packed | None]:
    """None for every set where nobody can see inside: an engine, or a fused tensor."""
    with ExitStack() as opened:
        try:
            seen = opened.enter_context(expose(request.bundle, name, [ASSIGNMENT]))
        except DamagedError:
            raise
        except InputError:
            return [None for _ in shown]
        runner = opened.enter_context(open_variant(seen, name, request.threads))
        return [_packed_assignments(runner, pictures) for pictures in shown]


def _packed_assignments(runner: Runner, pictures: PictureSource) -> Packed:
    """A bit for every superpixel and cell: of 200 pictures they take 16 MiB, not 500."""
    batches = infer_batches(runner, pictures, names=(ASSIGNMENT,))
    seen = (outputs[ASSIGNMENT] > 0 for outputs in batches)
    return np.concatenate([np.packbits(each.reshape(len(each), -1), axis=1) for each in seen])


def _compare(name: str, entry: Variant, reference: _Reference, got: _Answers) -> Comparison:
    matches = None
    if reference.assignment is not None and got.assignment is not None:
        matches = (reference.assignment == got.assignment).all(axis=1)
    expected = reference.evaluation.expected
    limits = variant_limits(entry.precision)
    return Comparison(
        variant=name,
        runtime=entry.runtime,
        reference=reference.evaluation.reference,
        agreement=compare(expected, got.outputs, limits, matches),
        has_superpixels=matches is not None,
    )

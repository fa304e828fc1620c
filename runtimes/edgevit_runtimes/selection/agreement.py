"""Whether a variant answers as the float reference does, on the same pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle
from edgevit.common.errors import CheckFailedError
from edgevit.images.image_io import Image
from edgevit.zoo.spec import LOGITS
from edgevit_runtimes.backends.classifier import BundleClassifier

# Share of pictures on which the top class must be the same, by what a variant computes in.
LEAST_TOP1 = {"float32": 0.995, "float16": 0.98, "bfloat16": 0.98, "int8": 0.98}


@dataclass(frozen=True)
class Judging:
    """Pictures, and the float reference's logits [n, classes] for them."""

    pictures: Sequence[Image]
    expected: NDArray[np.float32]
    reference: str

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Judging:
        """The bundle's own reference: torch's answers to a few real pictures."""
        reference = bundle.reference()
        return cls(list(reference.images), reference.outputs[LOGITS], "torch, at export")

    @classmethod
    def of_pictures(cls, bundle: Bundle, pictures: Sequence[Image]) -> Judging:
        """The float variant's answers to other pictures; export held it against torch."""
        with BundleClassifier(bundle, FLOAT_VARIANT) as classifier:
            expected = np.stack(list(classifier.logits(pictures)))
        return cls(pictures, expected, "the float variant in ONNX Runtime")


@dataclass(frozen=True)
class Agreement:
    """precision: of the variant. Differences are of logits, absolute."""

    precision: str
    images: int
    top1_agrees: int
    max_difference: float
    mean_difference: float

    @classmethod
    def between(
        cls, precision: str, expected: NDArray[np.float32], got: NDArray[np.float32]
    ) -> Agreement:
        """Of logits [n, classes]."""
        difference = np.abs(got.astype(np.float64) - expected)
        return cls(
            precision=precision,
            images=len(got),
            top1_agrees=int((got.argmax(1) == expected.argmax(1)).sum()),
            max_difference=float(difference.max()),
            mean_difference=float(difference.mean()),
        )

    @property
    def holds(self) -> bool:
        return not self.failures()

    def failures(self) -> list[str]:
        """What does not hold; one odd picture among few is allowed, a NaN never."""
        found = []
        least = LEAST_TOP1[self.precision]
        allowed = max(1, math.floor(self.images * (1 - least)))
        if self.images - self.top1_agrees > allowed:
            found.append(
                f"the top class agrees on {self.top1_agrees} of {self.images} pictures; "
                f"{100 * least:g} % must"
            )
        if not math.isfinite(self.max_difference):
            found.append("logits are not finite")
        return found

    @property
    def text(self) -> str:
        return (
            f"top class agrees on {self.top1_agrees} of {self.images} pictures, largest logit "
            f"difference {self.max_difference:.2g}"
        )

    def to_json(self) -> dict[str, Any]:
        plain = asdict(self)
        for key in ("max_difference", "mean_difference"):  # JSON knows no NaN
            plain[key] = float(f"{plain[key]:.4g}") if math.isfinite(plain[key]) else None
        return {**plain, "holds": self.holds}


def agreement(bundle: Bundle, variant: str, judging: Judging, threads: int = 1) -> Agreement:
    """Runs a variant on the pictures.

    Raises:
        EdgevitError: the variant cannot be opened here.
    """
    with BundleClassifier(bundle, variant, threads) as classifier:
        got = np.stack(list(classifier.logits(judging.pictures)))
    return Agreement.between(bundle.manifest.variants[variant].precision, judging.expected, got)


def require(found: Agreement, variant: str) -> None:
    """The gate of ``edgevit compile``.

    Raises:
        CheckFailedError: it does not hold.
    """
    if not found.holds:
        raise CheckFailedError(
            f"'{variant}' does not answer as the float reference: {found.text} (at least "
            f"{100 * LEAST_TOP1[found.precision]:g} % must agree). It was not kept."
        )

"""Whether two runners answer alike on the same pictures: the one comparison of this project.

Superpixels are a discrete choice: where two runtimes round a distance differently, a cell on a
border may join the other one, and everything behind it differs legitimately. So memberships are
compared first, and tensors on the pictures whose memberships match.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import CheckFailedError
from edgevit.inference.batches import PictureSource, Selected
from edgevit.inference.dense.detection_agreement import compare_boxes
from edgevit.inference.dense.mask_agreement import compare_masks
from edgevit.inference.runner import Array
from edgevit.zoo.interface.tensors import ASSIGNMENT, LOGITS
from edgevit.zoo.tasks import BOXES, MASK, TASK_OUTPUTS, task_of_outputs

# Which superpixel a cell, and then a patch, belongs to: positions follow from the first.
MEMBERSHIPS = (ASSIGNMENT, "membership")
# Fraction of pictures on which the top class must be the same, by what a variant computes in.
LEAST_TOP1 = {"float32": 0.995, "float16": 0.98, "bfloat16": 0.98, "int8": 0.98}


@dataclass(frozen=True)
class AtLeast:
    """On how many pictures something must agree.

    fraction: of all pictures. spare: how many may differ even where the fraction allows fewer.
    """

    fraction: float
    spare: int = 0

    def allowed(self, images: int) -> int:
        """How many of that many pictures may differ."""
        return max(self.spare, math.floor(images * (1 - self.fraction)))


@dataclass(frozen=True)
class Limits:
    """What must hold.

    precision: what is compared computes in. logit_difference: the largest; None: any finite one.
    """

    precision: str
    top1: AtLeast
    memberships: AtLeast
    logit_difference: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "membership_share": self.memberships.fraction,
            "top1_share": self.top1.fraction,
            "logit_difference": self.logit_difference,
        }


# An export against the torch module.
EXPORT_LIMITS = Limits("float32", AtLeast(0.995), AtLeast(0.98, spare=1), 1e-4)


def variant_limits(precision: str) -> Limits:
    """Of a variant against the float model: every superpixel must be the same."""
    return Limits(precision, AtLeast(LEAST_TOP1[precision], spare=1), AtLeast(1.0))


@dataclass(frozen=True)
class EvalSet:
    """Pictures, and what is known of them.

    expected: the reference's outputs of the task, [n, ...] by name. reference: who gave them.
    """

    pictures: PictureSource
    expected: Mapping[str, Array]
    reference: str


@dataclass(frozen=True)
class LabelledEvalSet(EvalSet):
    """labels: int64 [n], the places of the right answers among the classes; of masks uint8
    [n, H, W], 255 where there is none."""

    labels: NDArray[Any]

    def spread(self, count: int) -> NDArray[np.int64]:
        """int64 [n]: places of at most that many of the pictures, spread evenly."""
        places = np.linspace(0, len(self.labels) - 1, min(count, len(self.labels)))
        return np.unique(places.round().astype(np.int64))

    def part(self, places: NDArray[np.int64]) -> LabelledEvalSet:
        """The pictures at some places."""
        return replace(
            self,
            pictures=Selected(self.pictures, places),
            expected={name: array[places] for name, array in self.expected.items()},
            labels=self.labels[places],
        )


class Agreement(Protocol):
    """What a comparison found, whatever the task.

    images: how many pictures. membership_matches: those whose superpixels are all the same; all,
    where there are none.
    """

    @property
    def images(self) -> int: ...

    @property
    def membership_matches(self) -> int: ...

    @property
    def holds(self) -> bool: ...

    def failures(self) -> list[str]:
        """What does not hold, as sentences."""
        ...

    @property
    def text(self) -> str: ...

    @property
    def answers_text(self) -> str:
        """How many answers are the same, for a column of a table."""
        ...

    @property
    def precision(self) -> str:
        """What was compared computes in it."""
        ...

    @property
    def differences_text(self) -> tuple[str, str]:
        """The largest and the mean difference, for two columns; empty where answers are classes."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """As a manifest keeps an export's."""
        ...

    def answers_dict(self) -> dict[str, Any]:
        """As a manifest keeps a variant's."""
        ...


@dataclass(frozen=True)
class LogitAgreement:
    """What a comparison found. Differences are absolute, over pictures of equal memberships.

    membership_matches: pictures whose superpixels are all the same; all, where there are none.
    max_difference: by the name of every tensor that both gave. mean_difference: of the logits.
    finite: whether all logits are.
    """

    limits: Limits
    images: int
    top1_agrees: int
    membership_matches: int
    max_difference: Mapping[str, float]
    mean_difference: float
    finite: bool = True

    @property
    def max_logit_difference(self) -> float:
        return self.max_difference[LOGITS]

    @property
    def holds(self) -> bool:
        return not self.failures()

    def failures(self) -> list[str]:
        """What does not hold, as sentences."""
        checks = (
            self._top1_failure(),
            None if self.finite else "logits are not finite",
            self._membership_failure(),
            self._difference_failure(),
        )
        return [failure for failure in checks if failure is not None]

    def _top1_failure(self) -> str | None:
        """A picture whose superpixels differ may have another answer: that counts once."""
        odd = self.images - self.membership_matches
        if self.images - self.top1_agrees <= max(odd, self.limits.top1.allowed(self.images)):
            return None
        return (
            f"the top class agrees on {self.top1_agrees} of {self.images} pictures; "
            f"{100 * self.limits.top1.fraction:g} % must"
        )

    def _membership_failure(self) -> str | None:
        odd = self.images - self.membership_matches
        if self.membership_matches and odd <= self.limits.memberships.allowed(self.images):
            return None
        return f"superpixels differ on {odd} of {self.images} pictures"

    def _difference_failure(self) -> str | None:
        limit = self.limits.logit_difference
        if limit is None or self.max_logit_difference <= limit:
            return None
        return (
            f"logits differ by {self.max_logit_difference:.2g} where superpixels match "
            f"(limit {limit:g})"
        )

    @property
    def text(self) -> str:
        return (
            f"top class agrees on {self.top1_agrees} of {self.images} pictures, largest logit "
            f"difference {self.max_logit_difference:.2g}"
        )

    @property
    def answers_text(self) -> str:
        """On how many pictures the top class is the same."""
        return f"{100 * self.top1_agrees / self.images:.1f} %"

    @property
    def precision(self) -> str:
        return self.limits.precision

    @property
    def differences_text(self) -> tuple[str, str]:
        return f"{self.max_logit_difference:.2g}", f"{self.mean_difference:.2g}"

    def to_dict(self) -> dict[str, Any]:
        """Tensor by tensor, as a manifest keeps an export's."""
        return {
            "images": self.images,
            "membership_matches": self.membership_matches,
            "top1_agrees": self.top1_agrees,
            "max_difference": dict(self.max_difference),
            "limits": self.limits.to_dict(),
        }

    def answers_dict(self) -> dict[str, Any]:
        """Of the logits alone, as a manifest keeps a variant's; None for what is not finite."""
        return {
            "precision": self.limits.precision,
            "images": self.images,
            "top1_agrees": self.top1_agrees,
            "max_difference": _json_number(self.max_logit_difference),
            "mean_difference": _json_number(self.mean_difference),
            "holds": self.holds,
        }


def compare(
    expected: Mapping[str, Array],
    got: Mapping[str, Array],
    limits: Limits,
    matches: NDArray[np.bool_] | None = None,
) -> Agreement:
    """Compares outputs, picture by picture along the first axis: those of the task.

    Args:
        matches: bool [n], where memberships are known to match; by default it is read off the
            outputs themselves (all, for a model without superpixels).
    """
    if matches is None:
        matches = matching_pictures(expected, got)
    if MASK in expected:
        return compare_masks(expected, got, limits.precision, int(matches.sum()))
    if BOXES in expected:
        return compare_boxes(expected, got, limits.precision, int(matches.sum()))
    return _compare_logits(expected, got, limits, matches)


def _compare_logits(
    expected: Mapping[str, Array],
    got: Mapping[str, Array],
    limits: Limits,
    matches: NDArray[np.bool_],
) -> LogitAgreement:
    compared = matches if matches.any() else np.ones_like(matches)
    differences = {
        name: np.abs(expected[name][compared].astype(np.float64) - got[name][compared])
        for name in expected
        if name in got
    }
    return LogitAgreement(
        limits=limits,
        images=len(matches),
        top1_agrees=int((expected[LOGITS].argmax(1) == got[LOGITS].argmax(1)).sum()),
        membership_matches=int(matches.sum()),
        max_difference={name: float(each.max()) for name, each in differences.items()},
        mean_difference=float(differences[LOGITS].mean()),
        finite=bool(np.isfinite(expected[LOGITS]).all() and np.isfinite(got[LOGITS]).all()),
    )


def matching_pictures(expected: Mapping[str, Array], got: Mapping[str, Array]) -> NDArray[np.bool_]:
    """bool [n]: where every membership that both give is the same."""
    matches = np.ones(len(expected[TASK_OUTPUTS[task_of_outputs(expected)][0]]), bool)
    for name in MEMBERSHIPS:
        if name in expected and name in got:
            same = expected[name] == got[name]
            matches &= same.reshape(len(same), -1).all(axis=1)
    return matches


def require(found: Agreement, subject: str, remedy: str) -> None:
    """Stops where an agreement does not hold.

    Args:
        subject: what was compared, and remedy: a sentence; both for the message.

    Raises:
        CheckFailedError: says what does not hold.
    """
    if failures := found.failures():
        raise CheckFailedError(f"{subject}: {'; '.join(failures)}. {remedy}")


def relative_error(expected: Array, got: Array) -> float:
    """|got - expected| / |expected| over all values; nan where one is not finite."""
    a, b = got.astype(np.float64), expected.astype(np.float64)
    return float(np.linalg.norm(a - b)) / (float(np.linalg.norm(b)) or 1.0)


def relative_logit_error(expected: NDArray[np.float32], got: NDArray[np.float32]) -> float:
    """Square error of logits [n, classes] over their variance, about each picture's mean logit.

    What shifts all logits of a picture alike changes no answer.
    """
    a = expected - expected.mean(axis=1, keepdims=True)
    b = got - got.mean(axis=1, keepdims=True)
    return float(((a - b) ** 2).sum() / max(float((a**2).sum()), 1e-30))


def _json_number(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None

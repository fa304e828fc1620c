"""Parity: two runners on the same pictures, tensor by tensor.

Superpixels are a discrete choice: where two runtimes round a distance differently, a cell on the
border may go the other way, and everything behind it differs legitimately. So memberships are
compared first, and the tensors only on the pictures where they match.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgevit.common.errors import CheckFailedError
from edgevit.inference.runner import Array, Runner, batch_size, full_batches
from edgevit.zoo.spec import ASSIGNMENT, IMAGE_INPUT, LOGITS

# Which superpixel a cell, and then a patch, belongs to: positions follow from the first.
MEMBERSHIPS = (ASSIGNMENT, "membership")
MIN_MEMBERSHIP_SHARE = 0.98
MIN_TOP1_SHARE = 0.995
MAX_LOGIT_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class ParityReport:
    """What a comparison found. Differences are absolute, over the matching pictures.

    max_difference: by tensor name, for the tensors that both runners give.
    """

    images: int
    membership_matches: int
    top1_agrees: int
    max_difference: Mapping[str, float]

    @property
    def max_logit_difference(self) -> float:
        return self.max_difference[LOGITS]

    def to_json(self) -> dict[str, Any]:
        limits = {
            "membership_share": MIN_MEMBERSHIP_SHARE,
            "top1_share": MIN_TOP1_SHARE,
            "logit_difference": MAX_LOGIT_DIFFERENCE,
        }
        return {**asdict(self), "limits": limits}

    def failures(self) -> list[str]:
        """What does not hold, as sentences; one odd picture among few is allowed."""
        found = []
        allowed = max(1, math.floor(self.images * (1 - MIN_MEMBERSHIP_SHARE)))
        odd = self.images - self.membership_matches
        if odd > allowed or not self.membership_matches:
            found.append(f"superpixel memberships differ on {odd} of {self.images} pictures")
        allowed_top1 = max(odd, math.floor(self.images * (1 - MIN_TOP1_SHARE)))
        flipped = self.images - self.top1_agrees
        if flipped > allowed_top1:
            found.append(f"the top class differs on {flipped} of {self.images} pictures")
        if not self.max_logit_difference <= MAX_LOGIT_DIFFERENCE:  # a NaN fails too
            found.append(
                f"logits differ by {self.max_logit_difference:.2g} where memberships match "
                f"(limit {MAX_LOGIT_DIFFERENCE:g})"
            )
        return found


def compare_outputs(
    expected: Mapping[str, Array], got: Mapping[str, Array], matches: Array | None = None
) -> ParityReport:
    """Compares outputs, picture by picture along the first axis.

    Args:
        matches: bool [n], where memberships are known to match; by default it is read off the
            outputs themselves (all, for a model without superpixels).
    """
    count = len(expected[LOGITS])
    if matches is None:
        matches = matching_pictures(expected, got)
    shared = [name for name in expected if name in got]
    return ParityReport(
        images=count,
        membership_matches=int(matches.sum()),
        top1_agrees=int((expected[LOGITS].argmax(1) == got[LOGITS].argmax(1)).sum()),
        max_difference={n: _difference(expected[n], got[n], matches) for n in shared},
    )


def matching_pictures(expected: Mapping[str, Array], got: Mapping[str, Array]) -> Array:
    """bool [n]: where every membership that both give is the same."""
    matches = np.ones(len(expected[LOGITS]), bool)
    for name in MEMBERSHIPS:
        if name in expected and name in got:
            same = expected[name] == got[name]
            matches &= same.reshape(len(same), -1).all(axis=1)
    return matches


def _difference(expected: Array, got: Array, matches: Array) -> float:
    count = len(matches)
    if not matches.any():
        return math.nan
    a = expected.reshape(count, -1)[matches].astype(np.float64)
    b = got.reshape(count, -1)[matches].astype(np.float64)
    return float(np.abs(a - b).max())


def run_all(runner: Runner, pictures: Array) -> dict[str, Array]:
    """Every output for every picture [n, ...], in batches of the runner's size."""
    size = batch_size(runner.inputs, 8)
    collected: dict[str, list[Array]] = {}
    for places in full_batches(len(pictures), size):
        for name, output in runner.infer({IMAGE_INPUT: pictures[places]}).items():
            by_picture = output.reshape(size, -1, *output.shape[1:])
            collected.setdefault(name, []).append(by_picture)
    joined = {name: np.concatenate(parts)[: len(pictures)] for name, parts in collected.items()}
    return {n: a[:, 0] if a.shape[1] == 1 else a for n, a in joined.items()}


def require(report: ParityReport, what: str) -> None:
    """The gate.

    Raises:
        CheckFailedError: the report does not hold.
    """
    if failures := report.failures():
        raise CheckFailedError(
            f"Parity failed for {what}: {'; '.join(failures)}. Nothing was written. "
            "Please report it with the model and the versions of torch, onnx and onnxruntime."
        )

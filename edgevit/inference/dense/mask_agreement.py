"""Whether two runners give the same masks for the same pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevit.inference.runner import Array
from edgevit.zoo.tasks import MASK

# Share of all pixels that must be the same, by what a variant computes in.
LEAST_PIXELS = {"float32": 0.999, "float16": 0.995, "bfloat16": 0.98, "int8": 0.95}


@dataclass(frozen=True)
class MaskAgreement:
    """What a comparison of masks found.

    precision: what is compared computes in. same_pixels: share of all pixels, 0 to 1; least_same:
    of the picture where it is smallest. membership_matches: pictures whose superpixels are all the
    same; all, where there are none or nobody looked.
    """

    precision: str
    images: int
    same_pixels: float
    least_same: float
    membership_matches: int

    @property
    def holds(self) -> bool:
        return not self.failures()

    def failures(self) -> list[str]:
        """What does not hold, as sentences."""
        least = LEAST_PIXELS[self.precision]
        if self.same_pixels >= least:
            return []
        return [
            f"masks agree on {100 * self.same_pixels:.3f} % of the pixels; {100 * least:g} % must"
        ]

    @property
    def text(self) -> str:
        return (
            f"masks agree on {100 * self.same_pixels:.3f} % of the pixels of {self.images} "
            f"pictures, at least {100 * self.least_same:.2f} % of each"
        )

    @property
    def answers_text(self) -> str:
        """For a column of a table."""
        return f"{100 * self.same_pixels:.3f} % of pixels"

    @property
    def differences_text(self) -> tuple[str, str]:
        return "", ""

    def to_dict(self) -> dict[str, Any]:
        """As a manifest keeps an export's."""
        return {
            "images": self.images,
            "agreement": self.same_pixels,
            "least_agreement": self.least_same,
            "membership_matches": self.membership_matches,
            "limits": {"agreement": LEAST_PIXELS[self.precision]},
        }

    def answers_dict(self) -> dict[str, Any]:
        """As a manifest keeps a variant's."""
        return {
            "precision": self.precision,
            "images": self.images,
            "agreement": self.same_pixels,
            "least_agreement": self.least_same,
            "holds": self.holds,
        }


def compare_masks(
    expected: Mapping[str, Array], got: Mapping[str, Array], precision: str, matches: int
) -> MaskAgreement:
    """Masks uint8 [n, H, W] of both, pixel by pixel."""
    same = (expected[MASK] == got[MASK]).reshape(len(expected[MASK]), -1).mean(axis=1)
    return MaskAgreement(precision, len(same), float(same.mean()), float(same.min()), matches)


def mask_error(expected: Array, got: Array) -> float:
    """Share of the pixels that differ, 0 to 1."""
    return float(np.mean(expected != got))

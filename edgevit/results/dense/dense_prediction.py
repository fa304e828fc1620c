"""What the answers of segmentation models and detectors have in common."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.results.prediction import Prediction


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class DensePrediction(Prediction):
    """An answer about places. ``probabilities`` are areas or scores and do not compete."""

    @property
    def unsure(self) -> bool:
        """Never: no class has to be likelier than the others."""
        return False

"""How a bundle's probabilities are calibrated: what is kept of it, and keeping it."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit
from edgevit.bundle.reports import ConfidenceReport
from edgevit.images.picture_set import PictureSet
from edgevit.inference.confidence import calibration_error, fit_temperature


def fitted(
    logits: NDArray[np.float32], labels: NDArray[np.int64], pictures: PictureSet
) -> ConfidenceReport | None:
    """What a bundle keeps of it; None where no temperature can be known."""
    temperature = fit_temperature(logits, labels)
    if temperature is None:
        return None
    return ConfidenceReport(
        temperature=round(temperature, 4),
        images=len(labels),
        calibration_error=round(calibration_error(logits, labels, temperature), 5),
        uncalibrated_error=round(calibration_error(logits, labels), 5),
        picture_set=pictures,
    )


def with_confidence(bundle: Bundle, report: ConfidenceReport) -> Bundle:
    """The bundle whose probabilities are calibrated by the report from now on."""
    with edit(bundle) as draft:
        draft.manifest = replace(draft.manifest, confidence=report)
    return draft.bundle

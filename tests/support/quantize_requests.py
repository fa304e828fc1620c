"""Requests to quantize for one target, with the same pictures to calibrate and to evaluate."""

from __future__ import annotations

import numpy as np

from edgevit.bundle.bundle import Bundle
from edgevit.inference.calibration import Pictures
from edgevit_export.quantize.quantize_pipeline import QuantizeRequest


def quantize_request(
    bundle: Bundle,
    pictures: Pictures,
    target: str,
    *,
    max_drop: float,
    replace_variants: bool = False,
) -> QuantizeRequest:
    """Every picture is labelled with the first class; ``max_drop`` is in points."""
    return QuantizeRequest(
        bundle=bundle,
        targets=(target,),
        measured=frozenset(),
        alternatives_for=None,
        calibrating=pictures,
        evaluation=pictures,
        labels=np.zeros(len(pictures), np.int64),
        max_drop=max_drop,
        method="minmax",
        seed=0,
        replace_variants=replace_variants,
    )

"""A detector so small that a test can train and export it."""

from __future__ import annotations

from edgevit.zoo.detector_spec import LavitDetectorSpec
from edgevit.zoo.spec import LavitSpec, StageSpec

_STAGES = (
    StageSpec(16, 1, 1, 0, 4, 4),
    StageSpec(24, 1, 1, 0, 2, 2),
    StageSpec(32, 2, 2, 1),
    StageSpec(32, 2, 2, 1),
)


def small_detector(image_px: int = 64, classes: int = 2) -> LavitDetectorSpec:
    """Random weights, 20 detections of 64 candidates."""
    backbone = LavitSpec(
        "small_backbone", _STAGES, image_px=image_px, local_perception=True, stem="convolution"
    )
    return LavitDetectorSpec(
        "small_detector",
        backbone,
        image_px=image_px,
        classes=classes,
        width=24,
        candidates=64,
        detections=20,
    )

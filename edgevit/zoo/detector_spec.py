"""Detectors of the zoo: a LaViT backbone, a pyramid, an anchor-free head."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from edgevit.common.errors import InputError
from edgevit.zoo.dense_spec import LavitDenseSpec
from edgevit.zoo.tasks import Task

_FINEST_STRIDE = 8  # a head on places of 4 pixels would cost four times as much as all the others


@dataclass(frozen=True)
class LavitDetectorSpec(LavitDenseSpec):
    """An anchor-free detector on the stage maps of stride 8 and more.

    detections: rows of the answer, N. candidates: places that take part in suppression; at least N.
    overlap_limit: the IoU above which two boxes of a class are the same object.
    suppression_rounds: see :func:`edgevit.models.dense.box_geometry.suppress`.
    """

    _: KW_ONLY
    detections: int = 100
    candidates: int = 256
    overlap_limit: float = 0.5
    suppression_rounds: int = 6

    family: ClassVar[str] = "lavit_detector"
    task: ClassVar[Task] = "detection"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.detections <= self.candidates <= self.places:
            raise InputError(
                f"model {self.name}: got {self.detections} detections of {self.candidates} "
                f"candidates of {self.places} places; each must be at most the next."
            )
        if not 0 < self.overlap_limit < 1:
            raise InputError(
                f"model {self.name}: got an overlap limit of {self.overlap_limit}; expected an IoU "
                "between 0 and 1."
            )

    @property
    def level_channels(self) -> dict[str, int]:
        """Channels of the stage maps that the head reads, by name, finest first."""
        named = zip(self.backbone.feature_maps.items(), self.strides, strict=True)
        return {name: width for (name, width), stride in named if stride >= _FINEST_STRIDE}

    @property
    def level_strides(self) -> tuple[int, ...]:
        """Pixels of the input a side for one place of every such map."""
        return tuple(stride for stride in self.strides if stride >= _FINEST_STRIDE)

    @property
    def places(self) -> int:
        """Places of all levels together, P."""
        return sum((self.image_px // stride) ** 2 for stride in self.level_strides)

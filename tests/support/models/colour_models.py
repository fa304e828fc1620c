"""Models that find what is red and what is blue: they see well without having learned."""

from __future__ import annotations

import torch
from torch import Tensor

from edgevit.models.dense.detector import LavitDetector
from edgevit.models.dense.segmenter import CLASS_MAP, LavitSegmenter
from edgevit.zoo.dense_spec import LavitSegmenterSpec
from edgevit.zoo.tasks import BOXES, MASK, OBJECT_CLASSES, SCORES
from support.models.detectors import small_detector

CLASSES = ("red", "blue")
MASK_CLASSES = ("other", *CLASSES)
_SCORE = 0.9


class ColourDetector(LavitDetector):
    """At most one object of each colour: the box around all of its pixels."""

    def __init__(self) -> None:
        super().__init__(small_detector())

    def steps(self, image: Tensor) -> dict[str, Tensor]:
        size, rows = self.spec.image_px, self.spec.detections
        line = torch.arange(size, dtype=torch.float32)
        boxes, scores = [], []
        for mine, other in ((0, 2), (2, 0)):
            seen = _coloured(image, mine, other)
            across, down = seen.amax(dim=1), seen.amax(dim=2)
            sides = [_first(across, line), _first(down, line), _last(across, line)]
            found = seen.amax(dim=(1, 2))
            box = torch.stack([*sides, _last(down, line)], dim=1)
            boxes.append(box * found[:, None])
            scores.append(_SCORE * found)
        empty = (0, rows - len(boxes))
        classes = torch.arange(len(boxes)).repeat(image.shape[0], 1)
        return {
            BOXES: torch.nn.functional.pad(torch.stack(boxes, 1), (0, 0, *empty)),
            SCORES: torch.nn.functional.pad(torch.stack(scores, 1), empty),
            OBJECT_CLASSES: torch.nn.functional.pad(classes, empty),
        }


class ColourSegmenter(LavitSegmenter):
    """The class of every pixel by its colour."""

    def __init__(self) -> None:
        of = small_detector()
        super().__init__(
            LavitSegmenterSpec(
                "small_segmenter", of.backbone, image_px=of.image_px, classes=3, resize="squash"
            )
        )

    def steps(self, image: Tensor) -> dict[str, Tensor]:
        red, blue = _coloured(image, 0, 2), _coloured(image, 2, 0)
        other = torch.full_like(red, 0.5)
        class_map = torch.stack([other, red, blue], dim=1)
        return {MASK: class_map.argmax(dim=1).to(torch.uint8), CLASS_MAP: class_map}


def _coloured(image: Tensor, mine: int, other: int) -> Tensor:
    """1.0 where one channel of a picture [B, H, W, 3] is high and another low."""
    return ((image[..., mine] > 160) & (image[..., other] < 90)).float()


def _first(seen: Tensor, line: Tensor) -> Tensor:
    return torch.where(seen > 0, line, 1e4).amin(dim=1)


def _last(seen: Tensor, line: Tensor) -> Tensor:
    return torch.where(seen > 0, line + 1, 0.0).amax(dim=1)

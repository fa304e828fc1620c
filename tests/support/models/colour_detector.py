"""A detector that finds what is red and what is blue: it sees well without having learned."""

from __future__ import annotations

import torch
from torch import Tensor

from edgevit.models.dense.detector import LavitDetector
from edgevit.zoo.tasks import BOXES, OBJECT_CLASSES, SCORES
from support.models.detectors import small_detector

CLASSES = ("red", "blue")
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
            seen = ((image[..., mine] > 160) & (image[..., other] < 90)).float()
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


def _first(seen: Tensor, line: Tensor) -> Tensor:
    return torch.where(seen > 0, line, 1e4).amin(dim=1)


def _last(seen: Tensor, line: Tensor) -> Tensor:
    return torch.where(seen > 0, line + 1, 0.0).amax(dim=1)

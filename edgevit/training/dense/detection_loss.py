"""The loss of a detector: quality focal loss of the scores, GIoU of the boxes.

- Scores: |t - p|^2 BCE(p, t), t the assigned target (arXiv 2006.04388). An empty place has t = 0.
- Boxes: 1 - GIoU, weighted by t, so that places which are sure of an object shape its box most.

Both are divided by the sum of all targets of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from edgevit.models.dense.box_geometry import generalised_overlap
from edgevit.models.dense.detector import CLASS_LOGITS, PLACE_BOXES, Decode
from edgevit.training.dense.detection_targets import Truth, assign

_BOX_WEIGHT = 2.0


def detection_loss(steps: dict[str, Tensor], truth: Sequence[Truth], places: Decode) -> Tensor:
    """The loss of a batch, a scalar.

    Args:
        steps: of :meth:`edgevit.models.dense.detector.LavitDetector.dense`.
        truth: one for each picture of the batch.
    """
    logits, boxes = steps[CLASS_LOGITS].float(), steps[PLACE_BOXES].float()
    wanted = torch.zeros_like(logits)
    box_loss = logits.new_zeros(())
    for number, objects in enumerate(truth):
        owner, target = assign(
            logits[number].sigmoid(), boxes[number], objects, places.centres, places.strides
        )
        place = (owner >= 0).nonzero().squeeze(1)
        mine = owner[place]
        wanted[number, place, objects.labels[mine]] = target[place]
        shape = 1 - generalised_overlap(boxes[number, place], objects.boxes[mine])
        box_loss = box_loss + (shape * target[place]).sum()
    error = (logits.sigmoid() - wanted).abs().square()
    score_loss = error * functional.binary_cross_entropy_with_logits(
        logits, wanted, reduction="none"
    )
    total = wanted.sum().clamp_min(1.0)
    return (score_loss.sum() + _BOX_WEIGHT * box_loss) / total

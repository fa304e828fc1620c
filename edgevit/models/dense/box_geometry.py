"""Boxes as tensors: overlap, and non-maximum suppression with a static shape.

A box is (left, top, right, bottom) in pixels of the model's input, float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST = 1e-7  # keeps a division by an area of zero finite


def area(boxes: Tensor) -> Tensor:
    """[..., 4] to [...], pixels squared; 0 where a side is negative."""
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp_min(0)
    return sides[..., 0] * sides[..., 1]


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes in pairs; the leading axes broadcast."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    sides = (high - low).clamp_min(0)
    common = sides[..., 0] * sides[..., 1]
    return common / (area(first) + area(second) - common + _LEAST)


def overlap_matrix(first: Tensor, second: Tensor) -> Tensor:
    """[..., N, 4] and [..., M, 4] to the IoU of every pair, [..., N, M]."""
    return overlap(first[..., :, None, :], second[..., None, :, :])


def generalised_overlap(first: Tensor, second: Tensor) -> Tensor:
    """GIoU of boxes in pairs, -1 to 1 (arXiv 1902.09630): it has a slope where none overlap."""
    hull = torch.cat(
        [
            torch.minimum(first[..., :2], second[..., :2]),
            torch.maximum(first[..., 2:], second[..., 2:]),
        ],
        dim=-1,
    )
    iou = overlap(first, second)
    union = (area(first) + area(second)) / (1 + iou)
    return iou - (area(hull) - union) / (area(hull) + _LEAST)


def suppress(boxes: Tensor, classes: Tensor, limit: float, rounds: int) -> Tensor:
    """Which boxes non-maximum suppression keeps, as 1.0 and 0.0, [B, K].

    A box goes if a kept one of its class and of a better score overlaps it by more than ``limit``.
    Greedy suppression visits the boxes one after another; here all are decided at once, ``rounds``
    times, each time from the answer before. That is exact once the rounds are as many as the
    longest chain of boxes that suppress each other (Cluster-NMS, arXiv 2005.03572), and it is
    made of plain operations with static shapes.

    Args:
        boxes: [B, K, 4], best first. classes: int64 [B, K].
    """
    count = boxes.shape[-2]
    better = torch.ones(count, count, dtype=boxes.dtype, device=boxes.device).triu(1)
    same = (classes[:, :, None] == classes[:, None, :]).to(boxes.dtype)
    suppresses = (overlap_matrix(boxes, boxes) > limit).to(boxes.dtype) * same * better
    kept = torch.ones_like(boxes[..., 0])
    for _ in range(rounds):
        kept = 1 - (suppresses * kept[:, :, None]).amax(dim=1)
    return kept

"""Which places of the maps answer for which object: task-aligned assignment.

    fitness = score * IoU^6,   of the place's score for the object's class and its box's overlap

Among the places inside an object the ten fittest are its own; a place that several objects claim
goes to the one that it overlaps most. What a place is to answer is its fitness, scaled so that the
fittest place of an object is to answer its own IoU. Source: TOOD, ICCV 2021, arXiv 2108.07755.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edgevit.models.dense.box_geometry import overlap_matrix

_CLAIMED = 10
_SHARPNESS = 6.0
_LEAST_REACH = 0.75  # strides around a small object's centre that count as inside of it
_LEAST = 1e-9


class Truth(NamedTuple):
    """The objects of one picture: boxes float32 [N, 4] in the model's pixels, labels int64 [N]."""

    boxes: Tensor
    labels: Tensor


class Assignment(NamedTuple):
    """Of one picture with P places.

    owner: int64 [P], the object that a place answers for; -1 for none. target: float32 [P], the
    score that it is to give the object's class; 0 where there is none.
    """

    owner: Tensor
    target: Tensor


@torch.no_grad()
def assign(
    scores: Tensor, predicted: Tensor, truth: Truth, centres: Tensor, strides: Tensor
) -> Assignment:
    """Assigns the places of one picture.

    Args:
        scores: [P, classes], 0 to 1. predicted: [P, 4]. centres: [P, 2]. strides: [P, 1].
    """
    boxes, labels = truth
    if not len(boxes):
        return Assignment(
            torch.full_like(centres[:, 0], -1, dtype=torch.long), torch.zeros_like(centres[:, 0])
        )
    iou = overlap_matrix(boxes, predicted)
    fitness = scores[:, labels].T * iou.pow(_SHARPNESS)
    allowed = _inside(boxes, centres, strides)
    # Before anything is learned, all overlaps may be alike: nearer places then go first.
    ranked = (fitness + _LEAST * iou).masked_fill(~allowed, -1.0)
    best = ranked.topk(min(_CLAIMED, ranked.shape[1]), dim=1).indices
    claimed = torch.zeros_like(allowed).scatter_(1, best, torch.ones_like(best, dtype=torch.bool))
    claimed &= allowed
    claim = torch.where(claimed, iou, iou.new_tensor(-1.0))
    overlap, owner = claim.max(dim=0)
    owner = torch.where(overlap >= 0, owner, owner.new_tensor(-1))
    return Assignment(owner, _targets(owner, fitness, iou))


def _inside(boxes: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """bool [N, P]: which places lie in which box, or right beside a small one's centre."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = ((centres - middle[:, None]).abs() <= _LEAST_REACH * strides).all(dim=-1)
    low, high = centres - boxes[:, None, :2], boxes[:, None, 2:] - centres
    return near | ((low > 0) & (high > 0)).all(dim=-1)


def _targets(owner: Tensor, fitness: Tensor, iou: Tensor) -> Tensor:
    mine = owner[None, :] == torch.arange(len(iou), device=owner.device)[:, None]
    own_fitness, own_iou = fitness * mine, iou * mine
    scale = own_iou.amax(dim=1) / (own_fitness.amax(dim=1) + _LEAST)
    return (own_fitness * scale[:, None]).amax(dim=0)

"""What training makes small."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgevit.models.classifier import ZooModule
from edgevit.models.lavit.lavit import SCORES_PREFIX
from edgevit.training.data import Batch
from edgevit.training.losses.diagonality import diagonality_loss
from edgevit.training.recipe import Recipe
from edgevit.zoo.interface.tensors import LOGITS


def soft_targets(
    batch: Batch, classes: int, recipe: Recipe, taught: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """What the answers should be, float32 [B, classes], rows add up to 1.

    The smoothed label, blended with the teacher's answer where there is one (``taught`` float32
    [B, classes]), then mixed as the pictures were. One cross-entropy with the blend is the weighted
    sum of the cross-entropies.
    """
    smoothing = recipe.label_smoothing
    labels = np.full((len(batch.labels), classes), smoothing / classes, np.float32)
    labels[np.arange(len(batch.labels)), batch.labels] += 1 - smoothing
    if taught is not None:
        labels = (1 - recipe.teacher_weight) * labels + recipe.teacher_weight * taught
    if batch.mix is None:
        return labels
    share = batch.mix.share[:, None]
    mixed: NDArray[np.float32] = share * labels + (1 - share) * labels[batch.mix.partner]
    return mixed


def loss_of(
    module: ZooModule,
    pictures: Tensor,
    targets: Tensor,
    recipe: Recipe,
    guidance: Callable[[Mapping[str, Tensor]], Tensor] | None = None,
) -> Tensor:
    """Cross-entropy, and of a LaViT its diagonality preserving loss. Scalar float32.

    Args:
        guidance: from the model's steps to how far they are from a teacher's.
    """
    steps = module.steps(pictures)
    loss = functional.cross_entropy(steps[LOGITS].float(), targets)
    scores = [step for name, step in steps.items() if name.startswith(SCORES_PREFIX)]
    if scores and recipe.diagonality != "off":
        penalty = diagonality_loss(scores, recipe.diagonality)
        loss = loss + recipe.diagonality_weight * penalty
    if guidance is not None:
        loss = loss + recipe.guidance * guidance(steps)
    return loss


def to_device(array: NDArray[np.float32 | np.uint8 | np.int64], device: str) -> Tensor:
    return torch.from_numpy(array).to(device, non_blocking=True)

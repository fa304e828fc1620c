"""The numbers of a segmentation training, so that a run can be repeated and resumed."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from edgevit.common.errors import InputError


@dataclass(frozen=True)
class SegmentationRecipe:
    """AdamW, linear warm-up, cosine; a moving average of the weights.

    epochs, batch, learning_rate, final_learning_rate, warmup_epochs, weight_decay, clip_norm,
    ema_decay, seed: as of :class:`edgevit.training.recipe.Recipe`.
    backbone_rate: share of the learning rate that pretrained weights get.
    scale: sides of a random part, in shares of the picture's. aspect: how much wider or higher.
    colour: how far brightness, contrast and tint may change, 0 to 1.
    balance: rare classes weigh 1 / ln(balance + share of the pixels); 0: all weigh the same.
    """

    epochs: int = 100
    batch: int = 8
    learning_rate: float = 6e-4
    final_learning_rate: float = 1e-6
    warmup_epochs: float = 1.0
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    ema_decay: float = 0.995
    backbone_rate: float = 0.5
    scale: tuple[float, float] = (0.4, 1.1)
    aspect: float = 1.3
    colour: float = 0.25
    balance: float = 1.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise InputError(
                f"Training needs at least one epoch and a batch of one; got {self.epochs} epochs "
                f"and a batch of {self.batch}."
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"The learning rate must be above zero; got {self.learning_rate}.")
        low, high = self.scale
        if not 0 < low <= high <= 4:
            raise InputError(f"scale is two shares of a side, above 0 to 4; got {self.scale}.")

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The rate of a global step, counted from 0."""
        warmup = min(self.warmup_epochs, self.epochs / 2) * steps_per_epoch
        if step < warmup:
            return self.learning_rate * (step + 1) / (warmup + 1)
        share = (step - warmup) / max(1.0, self.epochs * steps_per_epoch - warmup)
        span = self.learning_rate - self.final_learning_rate
        return self.final_learning_rate + span * (1 + math.cos(math.pi * min(1.0, share))) / 2

    @classmethod
    def names(cls) -> set[str]:
        return {each.name for each in fields(cls)}

"""The numbers of a training run, all of them, so that a run can be repeated and resumed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgevit.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """AdamW, linear warm-up, cosine to ``final_learning_rate``; crops, flips and colour.

    ``learning_rate`` is for a batch of 128 and is not scaled. ``crop_area`` is the share of the
    picture a random crop covers, ``crop_aspect`` bounds its width over height, ``colour`` is the
    largest relative change of brightness, contrast and saturation.
    """

    epochs: int = 80
    batch: int = 128
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    warmup_epochs: float = 5.0
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    clip_norm: float = 1.0
    crop_area: tuple[float, float] = (0.25, 1.0)
    crop_aspect: tuple[float, float] = (0.75, 4 / 3)
    colour: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise InputError(
                f"Training needs at least one epoch and a batch of one; got {self.epochs} epochs "
                f"and a batch of {self.batch}."
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"The learning rate must be above zero; got {self.learning_rate}.")

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The rate of a global step, counted from 0."""
        warmup_steps = min(self.warmup_epochs, self.epochs / 2) * steps_per_epoch
        if step < warmup_steps:
            return self.learning_rate * (step + 1) / (warmup_steps + 1)
        share = (step - warmup_steps) / max(1.0, self.epochs * steps_per_epoch - warmup_steps)
        span = self.learning_rate - self.final_learning_rate
        return self.final_learning_rate + span * (1 + math.cos(math.pi * min(1.0, share))) / 2

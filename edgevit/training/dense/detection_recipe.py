"""The numbers of a detector's training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edgevit.common.errors import InputError
from edgevit.training.dense.detection_augmentation import DetectionAugmentation


@dataclass(frozen=True)
class DetectionRecipe:
    """AdamW, linear warm-up, cosine; a moving average of the weights is validated and saved.

    learning_rate: at its peak, of what is new. backbone_rate: of the backbone, as a share of it.
    ema_decay: of the average, a step; see :mod:`edgevit.training.average`.
    """

    epochs: int = 60
    batch: int = 8
    learning_rate: float = 1e-3
    backbone_rate: float = 0.4
    final_share: float = 0.02
    warmup_epochs: float = 3.0
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    ema_decay: float = 0.99
    seed: int = 0
    augmentation: DetectionAugmentation = field(default_factory=DetectionAugmentation)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise InputError(
                f"Training needs at least one epoch and a batch of one; got {self.epochs} epochs "
                f"and a batch of {self.batch}."
            )
        for name in ("learning_rate", "backbone_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be above zero; got {value}.")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"ema_decay is from 0 to below 1; got {self.ema_decay}.")

    def rate_share_at(self, step: int, steps_per_epoch: int) -> float:
        """The share of the peak rate in a step, counted from 0."""
        warmup = min(self.warmup_epochs, self.epochs / 2) * steps_per_epoch
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = (step - warmup) / max(1.0, self.epochs * steps_per_epoch - warmup)
        cosine = (1 + math.cos(math.pi * min(1.0, done))) / 2
        return self.final_share + (1 - self.final_share) * cosine

"""The numbers of a training run, all of them, so that a run can be repeated and resumed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from edgevit.common.errors import InputError

Diagonality = Literal["bounded", "literal", "off"]

ERASED_AREA = (0.02, 0.2)  # of random erasing (arXiv 1708.04896), in shares of the picture
ERASED_ASPECT = (0.3, 1 / 0.3)


@dataclass(frozen=True)
class Recipe:
    """AdamW, linear warm-up, cosine; strong augmentation, a moving average of the weights.

    Schedule:
        learning_rate: the highest, for this batch; it is not scaled. Falls to
            ``final_learning_rate``.
        warmup_epochs: in which the rate rises from nothing; at most half of all.
    Augmentation (see :mod:`edgevit.training.augmentation`):
        crop_area, crop_aspect: share of the picture that a crop covers, and its width over height.
        random_ops, random_strength: how many RandAugment operations, and how strong, 0 to 1.
        erase: share of the pictures that lose a rectangle.
        clean_epochs: how many epochs at the end go without RandAugment, erasing and mixing, so that
            the model ends on pictures as it will be shown them; at most a quarter of all.
        mix: share of the batches that are mixed, half by mixup and half by cutmix;
            ``mixup_alpha`` and ``cutmix_alpha`` are those of the Beta distributions of the share.
    Weights:
        ema_decay: of the moving average, a step; 0: no average. It is the average that is
            validated and saved.
    Teacher (only with one):
        teacher_weight: share of the loss that matches the teacher's answer, 0 to 1; the rest
            matches the label.
        teacher_views: how many different crops of every picture. The teacher sees each once.
        guidance: weight of matching the teacher's feature maps too; 0: not at all. Mixed batches go
            without, but on a GPU, where the teacher sees them mixed. See
            :mod:`edgevit.training.losses.guidance`.
    LaViT:
        diagonality: which form of its diagonality preserving loss, ``off`` for none, and
            ``diagonality_weight``.
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
    random_ops: int = 2
    random_strength: float = 0.5
    erase: float = 0.2
    clean_epochs: int = 8
    mix: float = 0.5
    mixup_alpha: float = 0.2
    cutmix_alpha: float = 1.0
    ema_decay: float = 0.998
    teacher_weight: float = 0.7
    teacher_views: int = 20
    guidance: float = 0.0
    diagonality: Diagonality = "bounded"
    diagonality_weight: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_schedule()
        for name in ("erase", "mix", "random_strength", "teacher_weight", "ema_decay"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError(f"{name} is a share, 0 to 1; got {value}.")
        if not (math.isfinite(self.guidance) and self.guidance >= 0):
            raise InputError(f"The weight of the guidance is 0 or above; got {self.guidance}.")
        if self.diagonality not in get_args(Diagonality):
            raise InputError(
                f"--diagonality is {', '.join(get_args(Diagonality))}; got '{self.diagonality}'."
            )
        if self.teacher_views < 1:
            raise InputError(f"A teacher needs at least one view; got {self.teacher_views}.")

    def _check_schedule(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise InputError(
                f"Training needs at least one epoch and a batch of one; got {self.epochs} epochs "
                f"and a batch of {self.batch}."
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"The learning rate must be above zero; got {self.learning_rate}.")
        if not (math.isfinite(self.warmup_epochs) and self.warmup_epochs >= 0):
            raise InputError(f"The warm-up is 0 epochs or longer; got {self.warmup_epochs}.")

    def in_epoch(self, epoch: int) -> Recipe:
        """The recipe of one epoch, counted from 0: another one for the clean ones at the end."""
        if epoch < self.epochs - min(self.clean_epochs, self.epochs // 4):
            return self
        return replace(self, random_ops=0, erase=0.0, mix=0.0)

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The rate of a global step, counted from 0."""
        warmup_steps = min(self.warmup_epochs, self.epochs / 2) * steps_per_epoch
        if step < warmup_steps:
            return self.learning_rate * (step + 1) / (warmup_steps + 1)
        share = (step - warmup_steps) / max(1.0, self.epochs * steps_per_epoch - warmup_steps)
        final = min(self.final_learning_rate, self.learning_rate)
        span = self.learning_rate - final
        return final + span * (1 + math.cos(math.pi * min(1.0, share))) / 2

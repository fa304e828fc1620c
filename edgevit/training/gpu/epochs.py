"""Epochs of one module on pictures in the device's memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from edgevit.common.errors import InputError
from edgevit.training.average import averaged, following
from edgevit.training.gpu.batch_augmentation import MIX_NUMBERS, Augmentation
from edgevit.training.gpu.recorded import Recorded
from edgevit.training.gpu.shards import Pictures
from edgevit.training.hardware import channels_last, has_fast_bfloat16
from edgevit.training.optimizer import adamw
from edgevit.training.recipe import Recipe

_Objective = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """What is trained, and on what.

    name: of the training, for messages.
    objective: pictures, float32 [B, size_px, size_px, 3] of 0..255, and targets, float32
        [B, classes] with rows that add up to 1, to the loss.
    others: parameters that are trained with the module's; their gradients are not clipped.
    """

    name: str
    module: nn.Module
    pictures: Pictures
    size_px: int
    objective: _Objective
    others: Iterable[nn.Parameter] = ()


class Epochs:
    """A step is recorded once and replayed, so whatever changes from step to step is on the device.

    That is the order of the pictures, the learning rates and how batches are mixed, a table of
    each for a whole epoch, and the number of the step, which the step itself counts on.
    """

    def __init__(self, task: Task, recipe: Recipe, device: str) -> None:
        self.task, self.device, self.batch = task, device, recipe.batch
        self.classes = len(task.pictures.classes)
        self.images = torch.from_numpy(task.pictures.pixels).to(device)
        self.labels = torch.from_numpy(task.pictures.labels).to(device)
        self.module = task.module.to(device)
        self.bfloat16 = has_fast_bfloat16(device)
        if device == "cuda" or self.bfloat16:
            channels_last(self.module)
        self.average = averaged(self.module, recipe.ema_decay).to(device)
        self.follow = following(self.average, self.module, recipe.ema_decay)
        self.rate = torch.tensor(recipe.learning_rate, device=device)
        self.optimizer = adamw(self.module, recipe, task.others, self.rate)
        batch = min(self.batch, len(self.labels))
        self.order = torch.zeros(self.steps, batch, dtype=torch.int64, device=device)
        self.rates = torch.zeros(self.steps, device=device)
        self.mixes = torch.zeros(self.steps, MIX_NUMBERS, device=device)
        self.step_number = torch.zeros(1, dtype=torch.int64, device=device)
        self.total = torch.zeros((), device=device)
        self._prepared: tuple[Recipe, Augmentation, Recorded] | None = None

    @property
    def steps(self) -> int:
        """Of an epoch; whole batches only, unless there are fewer pictures than one holds."""
        return max(1, len(self.labels) // self.batch)

    def train(self, recipe: Recipe, epoch: int) -> float:
        """One epoch, counted from 0; its mean loss.

        Raises:
            InputError: the loss is no number any more.
        """
        seed = (recipe.seed, epoch)
        augment, step = self._for(recipe.in_epoch(epoch))
        augment.seed(seed)
        first = epoch * self.steps
        rates = [recipe.learning_rate_at(first + i, self.steps) for i in range(self.steps)]
        order = np.random.default_rng(seed).permutation(len(self.labels))
        self.order.copy_(torch.from_numpy(order[: self.order.numel()]).view_as(self.order))
        self.rates.copy_(torch.tensor(rates))
        self.mixes.copy_(augment.mixes(self.steps))
        self.step_number.zero_()
        self.total.zero_()
        self.module.train()
        for _ in range(self.steps):
            step()
        loss = float(self.total) / self.steps
        if not np.isfinite(loss):
            raise InputError(
                f"The loss of {self.task.name} became {loss} in epoch {epoch + 1}. Lower the "
                "learning rate of its recipe."
            )
        return loss

    def pictures_per_second(self, recipe: Recipe, epochs: int = 1) -> float:
        """How fast it trains, measured after one epoch; the weights change."""
        self.train(recipe, 0)
        started = time.monotonic()
        for _ in range(epochs):
            self.train(recipe, 0)
        return epochs * self.order.numel() / (time.monotonic() - started)

    def _for(self, recipe: Recipe) -> tuple[Augmentation, Recorded]:
        """Augmentation and step of a recipe: another one once its augmentation changes."""
        recipe = replace(recipe, epochs=1)  # which no step depends on
        if self._prepared is None or self._prepared[0] != recipe:
            augment = Augmentation(recipe, self.task.size_px, self.device, (recipe.seed,))

            def step() -> None:
                self._step(augment)

            self._prepared = recipe, augment, Recorded(step, self.device, augment.generator)
        return self._prepared[1:]

    def _step(self, augment: Augmentation) -> None:
        chosen, rate, mix = (
            table.index_select(0, self.step_number)[0]
            for table in (self.order, self.rates, self.mixes)
        )
        self.rate.copy_(rate)
        pictures, targets = augment(
            self.images.index_select(0, chosen),
            self._labels(chosen, augment.recipe.label_smoothing),
            mix if augment.recipe.mix else None,
        )
        with torch.autocast(
            self.device, torch.bfloat16, enabled=self.bfloat16, cache_enabled=False
        ):
            loss = self.task.objective(pictures, targets)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.module.parameters(), augment.recipe.clip_norm)
        self.optimizer.step()
        self.follow()
        self.total += loss.detach()
        self.step_number += 1

    def _labels(self, chosen: Tensor, smoothing: float) -> Tensor:
        """Smoothed, float32 [B, classes]."""
        labels = self.labels.index_select(0, chosen)
        exact = (labels[:, None] == torch.arange(self.classes, device=self.device)).float()
        return exact * (1 - smoothing) + smoothing / self.classes

    def restore(self, moments: dict[int, dict[str, Tensor]]) -> None:
        """The optimiser's moments, by the number of the parameter."""
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate  # loading made copies of it

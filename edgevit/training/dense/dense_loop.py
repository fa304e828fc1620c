"""The training loop that segmenters and detectors share; what they learn and measure is theirs."""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from edgevit.common.progress import Progress
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.parsers import parsing
from edgevit.images.training_split import TrainingSplit, dense_split
from edgevit.models.build import build
from edgevit.models.checkpoint import read_checkpoint, save_checkpoint
from edgevit.models.transfer import start_from
from edgevit.training.average import averaged
from edgevit.training.dense.detection_recipe import DetectionRecipe
from edgevit.training.dense.segmentation_recipe import SegmentationRecipe
from edgevit.training.log import append, keep_epochs
from edgevit.training.run_folder import (
    TrainingInterruptedError,
    finite,
    first_state,
    interrupt_flag,
)
from edgevit.training.state import STATE_FILE, RunState, damaged
from edgevit.zoo.spec import ModelSpec

Batch = TypeVar("Batch")


class LabelledSet(Protocol):
    """Pictures with labels of places."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def files(self) -> tuple[Path, ...]: ...


@dataclass(frozen=True, kw_only=True)
class DenseJob:
    """What to train, and where.

    init: a checkpoint to start from, of this model or of its backbone; None: random weights.
    run: the folder that everything goes to. device: "cpu" or "cuda".
    """

    spec: ModelSpec
    run: Path
    training: LabelledSet
    validation: LabelledSet
    device: str = "cpu"
    threads: int = 2
    init: Path | None = None
    weights_key: str | None = None

    @property
    def weights(self) -> Path:
        """Where the best epoch's weights go."""
        return self.run / f"{self.spec.name}.safetensors"

    def identity(self, recipe: DetectionRecipe | SegmentationRecipe) -> dict[str, Any]:
        """What a run is, in plain values, so that reading the state runs no code."""
        return {
            "model": repr(self.spec),
            "training_images": self.training.fingerprint,
            "validation_images": self.validation.fingerprint,
            "init": None if self.init is None else sha256_of(self.init),
            "weights_key": self.weights_key,
            **json.loads(json.dumps(asdict(recipe))),  # tuples as lists
        }


@dataclass(frozen=True)
class Measured:
    """An epoch's figures on the validation pictures.

    score: by which the best epoch is chosen, 0 to 1. text: for people. figures: for the log.
    notes: for the weights, where they are the best so far.
    """

    score: float
    text: str
    figures: dict[str, float]
    notes: dict[str, str]


class DenseLoop(ABC, Generic[Batch]):
    """One run: the module, its optimiser, and where it is."""

    def __init__(
        self,
        job: DenseJob,
        recipe: DetectionRecipe | SegmentationRecipe,
        identity: dict[str, Any],
        progress: Progress,
        resume: bool,
    ) -> None:
        self.place, self.plan, self.progress = job, recipe, progress
        start = None if job.init is None or resume else read_checkpoint(job.init, job.weights_key)
        self.state = first_state(job.run, identity, resume)
        torch.manual_seed(recipe.seed)
        module = build(job.spec)
        if start is not None:
            start_from(module, start, str(job.init), progress)
        self.module = module.to(job.device)
        self.average = averaged(self.module, recipe.ema_decay)
        self.optimizer = self._optimizer()
        if resume:
            self._restore()
        keep_epochs(job.run, self.state.epoch)

    @abstractmethod
    def _optimizer(self) -> torch.optim.Optimizer:
        """Of the module's parameters, in groups of their own rates."""

    @abstractmethod
    def _set_rates(self, step: int, steps_per_epoch: int) -> None:
        """The learning rate of every group in a global step, counted from 0."""

    @property
    @abstractmethod
    def _steps(self) -> int:
        """Steps of an epoch."""

    @abstractmethod
    def _batches(self, epoch: int, first_step: int) -> Iterator[Batch]: ...

    @abstractmethod
    def _loss(self, batch: Batch) -> Tensor:
        """A scalar."""

    @abstractmethod
    def _measure(self, interrupted: threading.Event) -> Measured:
        """The averaged weights on the validation pictures, as deployed."""

    @property
    @abstractmethod
    def _classes(self) -> tuple[str, ...]: ...

    def go(self) -> RunState:
        """Trains what is left of the epochs."""
        with interrupt_flag() as interrupted:
            while self.state.epoch < self.plan.epochs:
                self._epoch(interrupted)
        return self.state

    def _restore(self) -> None:
        with parsing(lambda _: damaged(self.place.run / STATE_FILE)):
            self.module.load_state_dict(self.state.model)
            self.average.load_state_dict(self.state.average)
            self.optimizer.load_state_dict(self.state.optimizer)

    def _epoch(self, interrupted: threading.Event) -> None:
        state, steps = self.state, self._steps
        label = f"epoch {state.epoch + 1}/{self.plan.epochs}"
        batches = self._batches(state.epoch, state.step)
        with self.progress.bar(label, steps) as advance:
            advance(state.step)
            for batch in batches:
                started = time.perf_counter()
                state.loss_sum += self._step(batch, steps)
                state.step += 1
                state.seconds += time.perf_counter() - started
                advance(1, f"loss {state.loss_sum / state.step:.3f}")
                self._stop_if(interrupted)
        self._finish_epoch(label, interrupted)

    def _stop_if(self, interrupted: threading.Event) -> None:
        """After any step the state is one to go on from."""
        if interrupted.is_set():
            self._save()
            raise TrainingInterruptedError.after(self.place.run, self.state)

    def _step(self, batch: Batch, steps_per_epoch: int) -> float:
        self.module.train()
        self._set_rates(self.state.epoch * steps_per_epoch + self.state.step, steps_per_epoch)
        loss = self._loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.plan.clip_norm)
        self.optimizer.step()
        self.average.update_parameters(self.module)
        return finite(float(loss.detach()), self.state)

    def _finish_epoch(self, label: str, interrupted: threading.Event) -> None:
        state, found = self.state, self._measure(interrupted)
        loss = state.loss_sum / max(1, state.step)
        self.progress.line(f"{label}  training loss {loss:.3f}  {found.text}")
        if found.score > state.best_top1:
            state.best_top1 = found.score
            self._save_weights(found.notes)
        entry = {
            "epoch": state.epoch + 1,
            "train_loss": round(loss, 5),
            **{name: round(value, 5) for name, value in found.figures.items()},
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds_total": round(state.seconds, 2),
        }
        append(self.place.run, entry)
        state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0
        self._save()

    def _save_weights(self, notes: dict[str, str]) -> None:
        told = {
            **notes,
            "epoch": str(self.state.epoch + 1),
            "recipe": json.dumps(self.state.identity),
        }
        name, module = self.place.spec.name, self.average.module
        place = self.place
        save_checkpoint(place.weights, module, name, self._classes, told)
        replace(self._split, weights_sha256=sha256_of(place.weights)).write(place.run)

    @cached_property
    def _split(self) -> TrainingSplit:
        """Of the first weights; the pictures stay, so they are hashed once a run."""
        place = self.place
        return dense_split(place.training.files, place.validation.files, place.weights)

    def _save(self) -> None:
        self.state.model = self.module.state_dict()
        self.state.average = self.average.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        self.state.save(self.place.run)

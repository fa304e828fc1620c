"""The training loop: bfloat16 autocast, cosine schedule, a state a run can be resumed from."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from edgevit.errors import CheckpointError, EdgevitError, InputError
from edgevit.files import cannot_write, held
from edgevit.models.build import build
from edgevit.models.checkpoint import save_checkpoint
from edgevit.progress import Progress
from edgevit.spec import ModelSpec
from edgevit.training.data import Batch, BatchLoader, ImageFolder
from edgevit.training.recipe import Recipe
from edgevit.training.state import STATE_FILE, RunState, damaged, identity_of

LOG_FILE = "log.jsonl"


class TrainingInterruptedError(EdgevitError):
    """Ctrl-C or SIGTERM; the state was saved."""

    exit_code = 130


@dataclass(frozen=True)
class TrainingResult:
    """weights: float16 safetensors of the best epoch. top1: its share of right answers, 0 to 1."""

    weights: Path
    top1: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class TrainingJob:
    """What to train, on what, and where: ``run`` is the folder that everything goes to."""

    spec: ModelSpec
    training: ImageFolder
    validation: ImageFolder
    recipe: Recipe
    run: Path
    device: str = "cpu"
    threads: int = 2


def train(job: TrainingJob, progress: Progress, resume: bool = False) -> TrainingResult:
    """Trains, and leaves ``NAME.safetensors``, ``last.pt`` and ``log.jsonl`` in the run folder.

    Raises:
        InputError: the two folders disagree about classes, or the run folder holds another run.
        TrainingInterruptedError: on Ctrl-C, after the state is saved.
    """
    if job.training.classes != job.validation.classes:
        odd = sorted(set(job.training.classes) ^ set(job.validation.classes))
        raise InputError(f"Training and validation classes differ: {', '.join(odd)}.")
    try:
        job.run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(job.run, error) from error
    try:
        with held(job.run):
            return _Run(job, progress, resume).go()
    finally:
        with suppress(OSError):  # a run that failed before it wrote anything leaves no folder
            job.run.rmdir()


class _Run:
    """One run: the module, its optimiser, and where it is."""

    def __init__(self, job: TrainingJob, progress: Progress, resume: bool) -> None:
        self.recipe, self.run, self.device = job.recipe, job.run, job.device
        self.progress = progress
        self.classes = job.training.classes
        self.spec = job.spec.with_classes(len(self.classes))
        identity = identity_of(self.spec, job.recipe, job.training, job.validation)
        self.state = self._first_state(identity, resume)
        torch.manual_seed(job.recipe.seed)
        self.module = build(self.spec).to(job.device)
        self.optimizer = self._optimizer()
        if resume:
            self._restore()
        size, batch = self.spec.image_px, job.recipe.batch
        self.training = BatchLoader(job.training, size, batch, job.threads)
        self.validation = BatchLoader(job.validation, size, batch, job.threads)
        self.loss = nn.CrossEntropyLoss(label_smoothing=job.recipe.label_smoothing)

    def go(self) -> TrainingResult:
        with _interrupt_flag() as interrupted:
            while self.state.epoch < self.recipe.epochs:
                self._epoch(interrupted)
        return TrainingResult(
            self.weights, self.state.best_top1, self.state.epoch, self.state.seconds
        )

    @property
    def weights(self) -> Path:
        return self.run / f"{self.spec.name}.safetensors"

    def _first_state(self, identity: dict[str, Any], resume: bool) -> RunState:
        if resume:
            return RunState.load(self.run, identity)
        if (self.run / STATE_FILE).exists():
            raise CheckpointError(
                f"{self.run} already holds a run. Add --resume to go on with it, or use --output."
            )
        return RunState(identity)

    def _restore(self) -> None:
        try:
            self.module.load_state_dict(self.state.model)
            self.optimizer.load_state_dict(self.state.optimizer)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise damaged(self.run / STATE_FILE) from error

    def _optimizer(self) -> torch.optim.Optimizer:
        """AdamW; vectors (biases, norms, CLS) and tables (latents, positions) do not decay."""
        linear = {id(m.weight) for m in self.module.modules() if isinstance(m, nn.Linear)}
        parameters = list(self.module.parameters())
        groups = [
            {
                "params": [p for p in parameters if id(p) in linear],
                "weight_decay": self.recipe.weight_decay,
            },
            {"params": [p for p in parameters if id(p) not in linear], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.recipe.learning_rate, fused=True)

    def _epoch(self, interrupted: threading.Event) -> None:
        steps, first = self.training.training_steps, self.state.step
        batches = self.training.training(self.recipe, self.state.epoch, first)
        label = f"epoch {self.state.epoch + 1}/{self.recipe.epochs}"
        with self.progress.bar(label, steps) as advance:
            advance(first)
            for batch in batches:
                started = time.perf_counter()
                self.state.loss_sum += self._step(batch, steps)
                self.state.step += 1
                self.state.seconds += time.perf_counter() - started
                advance(1, f"loss {self.state.loss_sum / self.state.step:.3f}")
                if interrupted.is_set():
                    self._save()
                    raise TrainingInterruptedError(
                        f"Stopped in epoch {self.state.epoch + 1}; the state is in "
                        f"{self.run / STATE_FILE}. Go on with --resume."
                    )
        self._finish_epoch(label)

    def _step(self, batch: Batch, steps_per_epoch: int) -> float:
        self.module.train()
        step = self.state.epoch * steps_per_epoch + self.state.step
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(step, steps_per_epoch)
        pictures = torch.from_numpy(batch.images).to(self.device)
        labels = torch.from_numpy(batch.labels).to(self.device)
        with torch.autocast(self.device, torch.bfloat16):
            loss = self.loss(self.module(pictures), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        value = float(loss.detach())
        if math.isnan(value):
            raise InputError(
                f"The loss became NaN in epoch {self.state.epoch + 1}. Start anew in another "
                "folder with a lower --learning-rate."
            )
        return value

    def _finish_epoch(self, label: str) -> None:
        top1 = self._evaluate()
        state = self.state
        entry = {
            "epoch": state.epoch + 1,
            "train_loss": round(state.loss_sum / max(1, state.step), 5),
            "val_top1": round(top1, 5),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds_total": round(state.seconds, 2),
        }
        self.progress.line(f"{label}  loss {entry['train_loss']:.3f}  val top-1 {100 * top1:.2f} %")
        if top1 > state.best_top1:
            state.best_top1 = top1
            notes = {"val_top1": f"{top1:.4f}", "epoch": str(state.epoch + 1)}
            notes["recipe"] = json.dumps(state.identity)
            save_checkpoint(self.weights, self.module, self.spec.name, self.classes, notes)
        with (self.run / LOG_FILE).open("a") as log:
            log.write(json.dumps(entry) + "\n")
        state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0
        self._save()

    @torch.inference_mode()
    def _evaluate(self) -> float:
        """Top-1 on the validation images, float32, as deployed."""
        self.module.eval()
        right = 0
        for batch in self.validation.evaluation():
            logits = self.module(torch.from_numpy(batch.images).to(self.device))
            right += int((logits.argmax(1).cpu().numpy() == batch.labels).sum())
        return right / len(self.validation.folder)

    def _save(self) -> None:
        self.state.model = self.module.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        self.state.save(self.run)


@contextmanager
def _interrupt_flag() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set an event, so that the step in flight ends and the state is saved."""
    event = threading.Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    former = {s: signal.signal(s, on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for signum, handler in former.items():
            signal.signal(signum, handler)

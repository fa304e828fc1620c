"""The training loop: mixed precision, cosine schedule, a state a run can be resumed from."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgevit.common.errors import InputError
from edgevit.common.progress import Progress
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.parsers import parsing
from edgevit.images.labelled_images import LabelledImages
from edgevit.models.build import build
from edgevit.models.checkpoint import input_notes, read_checkpoint, save_checkpoint
from edgevit.models.transfer import start_from
from edgevit.results.plots import draw_curves
from edgevit.training.average import averaged
from edgevit.training.data import Batch, BatchLoader
from edgevit.training.distributed.parallel_loss import ParallelLoss
from edgevit.training.distributed.processes import ALONE, Processes
from edgevit.training.hardware import has_fast_bfloat16
from edgevit.training.log import CURVES_FILE, LOG_FILE, append, keep_epochs
from edgevit.training.losses.guidance import guidance_of
from edgevit.training.losses.objective import soft_targets, to_device
from edgevit.training.optimizer import adamw
from edgevit.training.recipe import Recipe
from edgevit.training.run_folder import (
    TrainingInterruptedError,
    finite,
    first_state,
    interrupt_flag,
    run_folder,
)
from edgevit.training.state import STATE_FILE, damaged
from edgevit.training.teacher import Teacher, TeacherAnswers, View
from edgevit.zoo.spec import ModelSpec


@dataclass(frozen=True)
class TrainingResult:
    """weights: float16 safetensors of the best epoch. top1: its share of right answers, 0 to 1."""

    weights: Path
    top1: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class TrainingJob:
    """What to train, on what, and where.

    run: the folder that everything goes to. device: "cpu" or "cuda". threads: of the loader.
    init: a checkpoint to start from, of any image size and classes; None: from random weights.
    weights_key: which of the weights in ``init``; None: their moving average, if there is one.
    processes: those that train together; the recipe's batch is of all of them.
    save_every: save the state after so many steps too, and not only after an epoch; 0: do not.
    """

    spec: ModelSpec
    training: LabelledImages
    validation: LabelledImages
    recipe: Recipe
    run: Path
    device: str = "cpu"
    threads: int = 2
    teacher: Teacher | None = None
    init: Path | None = None
    weights_key: str | None = None
    processes: Processes = ALONE
    save_every: int = 0


def identity_of(job: TrainingJob, spec: ModelSpec) -> dict[str, Any]:
    """What a run is, in plain values, so that reading the state runs no code."""
    recipe = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(job.recipe).items()
    }
    return {
        "model": repr(spec),
        "training_images": job.training.fingerprint,
        "validation_images": job.validation.fingerprint,
        "teacher": None if job.teacher is None else job.teacher.identity,
        "init": None if job.init is None else sha256_of(job.init),
        "weights_key": job.weights_key,
        **input_notes(spec),
        **recipe,
    }


def train(job: TrainingJob, progress: Progress, resume: bool = False) -> TrainingResult:
    """Trains, and leaves ``NAME.safetensors``, ``last.pt``, ``log.jsonl`` and ``curves.png``.

    Raises:
        InputError: the two folders disagree about classes, the teacher does not know them, or the
            run folder holds another run.
        TrainingInterruptedError: on Ctrl-C, after the state is saved.
    """
    if job.training.classes != job.validation.classes:
        odd = sorted(set(job.training.classes) ^ set(job.validation.classes))
        raise InputError(f"Training and validation classes differ: {', '.join(odd)}.")
    if not job.processes.is_first:  # the run's folder is the first one's
        return _Run(job, progress, resume).go()
    with run_folder(job.run):
        return _Run(job, progress, resume).go()


class _Run:
    """One run: the module, its optimiser, and where it is."""

    def __init__(self, job: TrainingJob, progress: Progress, resume: bool) -> None:
        self.recipe, self.run, self.device = job.recipe, job.run, job.device
        self.bfloat16 = has_fast_bfloat16(job.device)
        self.progress = progress
        self.classes = job.training.classes
        self.spec = job.spec.with_classes(len(self.classes))
        self.processes, self.save_every = job.processes, job.save_every
        start = None if job.init is None or resume else read_checkpoint(job.init, job.weights_key)
        self.state = self.processes.from_first(
            lambda: first_state(job.run, identity_of(job, self.spec), resume)
        )
        torch.manual_seed(job.recipe.seed)
        module = build(self.spec)
        if start is not None:
            source = f"{job.init}: {start.taken}" if start.taken else str(job.init)
            start_from(module, start, source, progress)
        self.guidance = guidance_of(self.spec, job.teacher, job.recipe)
        if self.guidance is not None:
            self.guidance.to(job.device)
        self.teacher = None
        if job.teacher is not None:
            maps = () if self.guidance is None else self.guidance.maps
            self.teacher = TeacherAnswers(job.teacher, job.training, job.recipe, job.threads, maps)
        self.module = module.to(job.device)
        self.loss = ParallelLoss(self.module, self.guidance, self.recipe)
        self.parallel = self.loss.over(self.processes, job.device)
        self.average = averaged(self.module, job.recipe.ema_decay)
        others = () if self.guidance is None else self.guidance.parameters()
        self.optimizer = adamw(self.module, self.recipe, others)
        if resume:
            self._restore()
        if self.processes.is_first:
            keep_epochs(self.run, self.state.epoch)
        sizes, batch, share = self.spec.preprocess, job.recipe.batch, job.processes
        self.training = BatchLoader(job.training, sizes, batch, job.threads, share)
        self.validation = BatchLoader(job.validation, sizes, batch, job.threads, share)

    def go(self) -> TrainingResult:
        with interrupt_flag() as interrupted:
            while self.state.epoch < self.recipe.epochs:
                self._epoch(interrupted)
        if self.processes.is_first:
            draw_curves(self.run / LOG_FILE, self.run / CURVES_FILE)
        return TrainingResult(
            self.weights, self.state.best_top1, self.state.epoch, self.state.seconds
        )

    @property
    def weights(self) -> Path:
        return self.run / f"{self.spec.name}.safetensors"

    def _restore(self) -> None:
        with parsing(lambda _: damaged(self.run / STATE_FILE)):
            self.module.load_state_dict(self.state.model)
            self.average.load_state_dict(self.state.average)
            self.optimizer.load_state_dict(self.state.optimizer)
            if self.guidance is not None:
                self.guidance.load_state_dict(self.state.guidance)

    def _epoch(self, interrupted: threading.Event) -> None:
        steps, first, epoch = self.training.training_steps, self.state.step, self.state.epoch
        view, answers = epoch, None
        if self.teacher is not None:
            view = epoch % self.recipe.teacher_views
            asked = partial(self.teacher.view, view, self.progress, self._stop_alone(interrupted))
            answers = self.processes.one_per_machine_first(asked)
        batches = self.training.training(self.recipe.in_epoch(epoch), epoch, first, view)
        label = f"epoch {epoch + 1}/{self.recipe.epochs}"
        with self.progress.bar(label, steps) as advance:
            advance(first)
            for batch in batches:
                started = time.perf_counter()
                value = self._step(batch, answers, steps)
                loss, wanted = self.processes.sums([value, float(interrupted.is_set())])
                self.state.loss_sum += finite(loss / self.processes.count, self.state)
                self.state.step += 1
                self.state.seconds += time.perf_counter() - started
                advance(1, f"loss {self.state.loss_sum / self.state.step:.3f}")
                self._stop_if(wanted > 0)
                if self.save_every and self.state.step % self.save_every == 0:
                    self._save()
        self._finish_epoch(label, interrupted)

    def _stop_alone(self, interrupted: threading.Event) -> Callable[[], None]:
        """Stops between two steps, where no other process has to stop at the same place."""
        return lambda: self._stop_if(interrupted.is_set() and self.processes.count == 1)

    def _stop_if(self, wanted: bool) -> None:
        """After any step the state is one to go on from; all processes stop after the same one."""
        if not wanted:
            return
        self._save()
        raise TrainingInterruptedError.after(self.run, self.state)

    def _step(self, batch: Batch, answers: View | None, steps_per_epoch: int) -> float:
        self.module.train()
        step = self.state.epoch * steps_per_epoch + self.state.step
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(step, steps_per_epoch)
        taught = None if answers is None else answers.shares[batch.indices]
        targets = to_device(
            soft_targets(batch, len(self.classes), self.recipe, taught), self.device
        )
        pictures = to_device(batch.images, self.device)
        taught_maps = self._maps(answers, batch)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
            loss = self.parallel(pictures, targets, taught_maps)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.average.update_parameters(self.module)
        return float(loss.detach())

    def _maps(self, answers: View | None, batch: Batch) -> dict[str, Tensor]:
        """The teacher's feature maps of a batch, where they are to be matched."""
        if self.guidance is None or answers is None:
            return {}
        maps = answers.maps_of(batch)
        return {name: to_device(table, self.device) for name, table in maps.items()}

    def _finish_epoch(self, label: str, interrupted: threading.Event) -> None:
        top1, val_loss = self._evaluate(interrupted)
        if not self.processes.is_first:
            self.state.best_top1 = max(top1, self.state.best_top1)
            self._next_epoch()
            return
        state = self.state
        entry = {
            "epoch": state.epoch + 1,
            "train_loss": round(state.loss_sum / max(1, state.step), 5),
            "val_loss": round(val_loss, 5),
            "val_top1": round(top1, 5),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds_total": round(state.seconds, 2),
        }
        self.progress.line(
            f"{label}  training loss {entry['train_loss']:.3f}  "
            f"validation loss {val_loss:.3f}  top-1 {100 * top1:.2f} %"
        )
        if top1 > state.best_top1:
            state.best_top1 = top1
            notes = {"val_top1": f"{top1:.4f}", "epoch": str(state.epoch + 1)}
            notes |= {"recipe": json.dumps(state.identity), **input_notes(self.spec)}
            save_checkpoint(self.weights, self.average.module, self.spec.name, self.classes, notes)
        append(self.run, entry)
        self._next_epoch()
        self._save()

    def _next_epoch(self) -> None:
        state = self.state
        state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0

    @torch.inference_mode()
    def _evaluate(self, interrupted: threading.Event) -> tuple[float, float]:
        """Top-1 and mean cross-entropy on the validation images.

        Of the averaged weights, in float32, as deployed; without augmentation or smoothing.
        """
        self.average.eval()
        stop_if_asked = self._stop_alone(interrupted)
        right, loss_sum = 0, 0.0
        for batch in self.validation.evaluation():
            logits = self.average(to_device(batch.images, self.device))
            labels = to_device(batch.labels, self.device)
            right += int((logits.argmax(1) == labels).sum())
            loss_sum += float(nn.functional.cross_entropy(logits, labels, reduction="sum"))
            stop_if_asked()
        rights, losses = self.processes.sums([right, loss_sum])
        count = len(self.validation.folder)
        return rights / count, losses / count

    def _save(self) -> None:
        if not self.processes.is_first:
            return
        self.state.model = self.module.state_dict()
        self.state.average = self.average.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        if self.guidance is not None:
            self.state.guidance = self.guidance.state_dict()
        self.state.save(self.run)

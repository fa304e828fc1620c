"""Training of a detector: a state a run can be resumed from, AP50 of the averaged weights."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.progress import Progress
from edgevit.common.storage.files import cannot_write, held
from edgevit.common.storage.hashes import sha256_of
from edgevit.images.labelled_boxes.box_folder import BoxFolder
from edgevit.inference.dense.detection_metrics import DetectionAccuracy, detection_accuracy
from edgevit.inference.dense.detections import Detections
from edgevit.models.checkpoint import read_checkpoint, save_checkpoint
from edgevit.models.dense.detector import BACKBONE, LavitDetector
from edgevit.models.transfer import start_from
from edgevit.training.average import averaged
from edgevit.training.dense.detection_data import DetectionBatch, DetectionLoader
from edgevit.training.dense.detection_loss import detection_loss
from edgevit.training.dense.detection_recipe import DetectionRecipe
from edgevit.training.dense.detection_targets import Truth
from edgevit.training.log import append, keep_epochs
from edgevit.training.loop import TrainingInterruptedError, interrupt_flag
from edgevit.training.losses.objective import to_device
from edgevit.training.state import STATE_FILE, RunState
from edgevit.zoo.detector_spec import LavitDetectorSpec
from edgevit.zoo.spec import ModelSpec
from edgevit.zoo.tasks import BOXES, OBJECT_CLASSES, SCORES


@dataclass(frozen=True)
class DetectionJob:
    """What to train, on what, and where; the spec has the classes of the data.

    run: the folder that everything goes to. device: "cpu" or "cuda". init: weights to start from,
    of a detector or of its backbone; None: from random weights.
    """

    spec: ModelSpec
    training: BoxFolder
    validation: BoxFolder
    recipe: DetectionRecipe
    run: Path
    device: str = "cpu"
    threads: int = 2
    init: Path | None = None
    weights_key: str | None = None

    @property
    def weights(self) -> Path:
        """Where the best epoch's weights go."""
        return self.run / f"{self.spec.name}.safetensors"


def train_detector(job: DetectionJob, progress: Progress, resume: bool = False) -> RunState:
    """Trains; leaves ``NAME.safetensors`` of the epoch of best AP50, ``last.pt``, ``log.jsonl``.

    Returns:
        the last state; its ``best_top1`` is the best AP50, 0 to 1.

    Raises:
        InputError: the weights to start from do not fit, or the run folder holds another run.
        TrainingInterruptedError: on Ctrl-C, after the state is saved.
    """
    try:
        job.run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(job.run, error) from error
    with held(job.run):
        return _Run(job, progress, resume).go()


class _Run:
    """One run: the module, its optimiser, and where it is."""

    def __init__(self, job: DetectionJob, progress: Progress, resume: bool) -> None:
        self.job, self.recipe, self.progress = job, job.recipe, progress
        start = None if job.init is None or resume else read_checkpoint(job.init, job.weights_key)
        self.state = self._first_state(resume)
        torch.manual_seed(job.recipe.seed)
        if not isinstance(job.spec, LavitDetectorSpec):
            raise TypeError(f"a {type(job.spec).__name__} is no detector")
        module = LavitDetector(job.spec)
        if start is not None:
            start_from(module, start, str(job.init), progress)
        self.module = module.to(job.device)
        self.average = averaged(self.module, job.recipe.ema_decay)
        self.optimizer = _optimizer(self.module, job.recipe)
        if resume:
            self.module.load_state_dict(self.state.model)
            self.average.load_state_dict(self.state.average)
            self.optimizer.load_state_dict(self.state.optimizer)
        keep_epochs(job.run, self.state.epoch)
        facts = (job.spec.preprocess, job.recipe.batch, job.threads)
        self.training = DetectionLoader(job.training, *facts)
        self.validation = DetectionLoader(job.validation, *facts)

    def go(self) -> RunState:
        with interrupt_flag() as interrupted:
            while self.state.epoch < self.recipe.epochs:
                self._epoch(interrupted)
        return self.state

    def _first_state(self, resume: bool) -> RunState:
        identity = _identity(self.job)
        if resume:
            return RunState.load(self.job.run, identity)
        if (self.job.run / STATE_FILE).exists():
            raise CheckpointError(
                f"{self.job.run} already holds a run. Add --resume to go on with it, or use "
                "--output."
            )
        return RunState(identity)

    def _epoch(self, interrupted: threading.Event) -> None:
        steps, first = self.training.training_steps, self.state.step
        label = f"epoch {self.state.epoch + 1}/{self.recipe.epochs}"
        with self.progress.bar(label, steps) as advance:
            advance(first)
            for batch in self.training.training(self.recipe, self.state.epoch, first):
                started = time.perf_counter()
                self.state.loss_sum += self._step(batch, steps)
                self.state.step += 1
                self.state.seconds += time.perf_counter() - started
                advance(1, f"loss {self.state.loss_sum / self.state.step:.3f}")
                self._stop_if(interrupted)
        self._finish_epoch(label)

    def _step(self, batch: DetectionBatch, steps_per_epoch: int) -> float:
        self.module.train()
        step = self.state.epoch * steps_per_epoch + self.state.step
        share = self.recipe.rate_share_at(step, steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        device = self.job.device
        truth = [Truth(each.boxes.to(device), each.labels.to(device)) for each in batch.truth]
        answers = self.module.dense(to_device(batch.images, device))
        loss: Tensor = detection_loss(answers, truth, self.module.decode)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.average.update_parameters(self.module)
        value = float(loss.detach())
        if math.isnan(value):
            raise InputError(
                f"The loss became NaN in epoch {self.state.epoch + 1}. Start anew in another "
                "folder with a lower --learning-rate."
            )
        return value

    def _stop_if(self, interrupted: threading.Event) -> None:
        """After any step the state is one to go on from."""
        if not interrupted.is_set():
            return
        self._save()
        raise TrainingInterruptedError(
            f"Stopped in epoch {self.state.epoch + 1}; the state is in "
            f"{self.job.run / STATE_FILE}. Go on with --resume."
        )

    def _finish_epoch(self, label: str) -> None:
        state, found = self.state, self._evaluate()
        loss = state.loss_sum / max(1, state.step)
        append(
            self.job.run,
            {
                "epoch": state.epoch + 1,
                "train_loss": round(loss, 5),
                "val_ap": round(found.ap, 5),
                "val_ap50": round(found.ap50, 5),
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                "seconds_total": round(state.seconds, 2),
            },
        )
        precision = f"val AP50 {100 * found.ap50:.2f} %  AP {100 * found.ap:.2f} %"
        self.progress.line(f"{label}  loss {loss:.3f}  {precision}")
        if found.ap50 > state.best_top1:
            state.best_top1 = found.ap50
            self._save_weights(found)
        state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0
        self._save()

    def _save_weights(self, found: DetectionAccuracy) -> None:
        notes = {
            "val_ap": f"{found.ap:.4f}",
            "val_ap50": f"{found.ap50:.4f}",
            "epoch": str(self.state.epoch + 1),
            "recipe": json.dumps(self.state.identity),
        }
        job = self.job
        save_checkpoint(
            job.weights, self.average.module, job.spec.name, job.training.classes, notes
        )

    @torch.inference_mode()
    def _evaluate(self) -> DetectionAccuracy:
        """AP of the averaged weights on the validation pictures, in the pictures' own pixels."""
        self.average.eval()
        found: list[Detections] = []
        pictures = self.job.validation.pictures
        for images in self.validation.evaluation():
            outputs = self.average(to_device(images, self.job.device))
            arrays = [output.cpu().numpy() for output in outputs]
            for boxes, scores, classes in zip(*arrays, strict=True):
                picture = pictures[len(found)]
                each = Detections.of_outputs(
                    {BOXES: boxes, SCORES: scores, OBJECT_CLASSES: classes}
                )
                found.append(
                    each.in_picture(picture.height, picture.width, self.job.spec.preprocess)
                )
        return detection_accuracy(found, pictures, self.job.validation.classes)

    def _save(self) -> None:
        self.state.model = self.module.state_dict()
        self.state.average = self.average.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        self.state.save(self.job.run)


def _identity(job: DetectionJob) -> dict[str, Any]:
    """What a run is, in plain values, so that reading the state runs no code."""
    recipe = json.loads(json.dumps(asdict(job.recipe)))  # tuples as lists
    return {
        "model": repr(job.spec),
        "training_images": job.training.fingerprint,
        "validation_images": job.validation.fingerprint,
        "init": None if job.init is None else sha256_of(job.init),
        "weights_key": job.weights_key,
        **recipe,
    }


def _optimizer(module: LavitDetector, recipe: DetectionRecipe) -> torch.optim.Optimizer:
    """AdamW in four groups: backbone or new, and matrices or vectors, which do not decay."""
    groups: list[dict[str, Any]] = []
    for of_backbone in (True, False):
        peak = recipe.learning_rate * (recipe.backbone_rate if of_backbone else 1.0)
        mine = [p for n, p in module.named_parameters() if n.startswith(BACKBONE) == of_backbone]
        for decays in (True, False):
            parameters = [p for p in mine if (p.ndim > 1) == decays]
            decay = recipe.weight_decay if decays else 0.0
            groups.append({"params": parameters, "weight_decay": decay, "peak": peak, "lr": peak})
    return torch.optim.AdamW(groups, fused=True)

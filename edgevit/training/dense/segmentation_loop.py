"""Training of a segmenter: the best epoch by mIoU is kept, and a run can be resumed."""

from __future__ import annotations

import json
import math
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.progress import Progress
from edgevit.common.storage.files import cannot_write, held
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.parsers import parsing
from edgevit.images import image_io
from edgevit.images.labelled_masks.mask_folder import MaskFolder
from edgevit.inference.dense.letterbox import mask_in_picture
from edgevit.inference.dense.segmentation_metrics import confusion_of, mean_iou
from edgevit.models.build import build
from edgevit.models.checkpoint import read_checkpoint, save_checkpoint
from edgevit.models.classifier import ZooModule
from edgevit.models.dense.segmenter import BACKBONE, CLASS_MAP, enlarged
from edgevit.models.transfer import start_from
from edgevit.training.average import averaged
from edgevit.training.dense.segmentation_data import LabelledBatch, LabelledLoader
from edgevit.training.dense.segmentation_recipe import SegmentationRecipe
from edgevit.training.hardware import has_fast_bfloat16
from edgevit.training.log import append, keep_epochs
from edgevit.training.loop import TrainingInterruptedError, interrupt_flag
from edgevit.training.state import STATE_FILE, RunState, damaged
from edgevit.zoo.spec import ModelSpec
from edgevit.zoo.tasks import MASK, VOID


@dataclass(frozen=True)
class SegmentationJob:
    """What to train, on what, and where.

    classes: their names, by label. pixels: int64 [classes], of the training labels.
    init: a checkpoint to start from, of this model or of its backbone; None: random weights.
    """

    spec: ModelSpec
    training: MaskFolder
    validation: MaskFolder
    classes: tuple[str, ...]
    pixels: NDArray[np.int64]
    recipe: SegmentationRecipe
    run: Path
    device: str = "cpu"
    threads: int = 2
    init: Path | None = None
    weights_key: str | None = None


@dataclass(frozen=True)
class SegmentationTraining:
    """weights: float16 safetensors of the best epoch. miou: on the validation pictures, 0 to 1."""

    weights: Path
    miou: float
    epochs: int
    seconds: float


def train_segmentation(
    job: SegmentationJob, progress: Progress, resume: bool = False
) -> SegmentationTraining:
    """Trains, and leaves ``NAME.safetensors``, ``last.pt`` and ``log.jsonl``.

    Raises:
        InputError: the run folder holds another run, or the loss became NaN.
        TrainingInterruptedError: on Ctrl-C, after the state is saved.
    """
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


def class_weights(pixels: NDArray[np.int64], balance: float) -> Tensor:
    """float32 [classes], mean 1: 1 / ln(balance + share) (ENet, arXiv 1606.02147); 0: all 1.

    A class without pixels weighs as much as the rarest.
    """
    if balance == 0:
        return torch.ones(len(pixels))
    shares = torch.from_numpy(pixels / max(1, pixels.sum()))
    weights = 1 / torch.log(balance + shares)
    return (weights / weights.mean()).float()


class _Run:
    """One run: the module, its optimiser, and where it is."""

    def __init__(self, job: SegmentationJob, progress: Progress, resume: bool) -> None:
        self.job, self.recipe, self.progress = job, job.recipe, progress
        self.spec = job.spec.with_classes(len(job.classes))
        self.bfloat16 = has_fast_bfloat16(job.device)
        start = None if job.init is None or resume else read_checkpoint(job.init, job.weights_key)
        self.state = self._first_state(resume)
        torch.manual_seed(job.recipe.seed)
        module = build(self.spec)
        if start is not None:
            start_from(module, start, str(job.init), progress)
        self.module = module.to(job.device)
        self.average = averaged(self.module, job.recipe.ema_decay)
        self.optimizer = _optimizer(self.module, self.recipe)
        self.weights_of_classes = class_weights(job.pixels, self.recipe.balance).to(job.device)
        if resume:
            self._restore()
        keep_epochs(job.run, self.state.epoch)
        size = self.spec.image_px
        self.loader = LabelledLoader(job.training, size, self.recipe.batch, job.threads)
        self.validation = LabelledLoader(job.validation, size, self.recipe.batch, job.threads)

    @property
    def weights(self) -> Path:
        return self.job.run / f"{self.spec.name}.safetensors"

    def go(self) -> SegmentationTraining:
        with interrupt_flag() as interrupted:
            while self.state.epoch < self.recipe.epochs:
                self._epoch(interrupted)
        state = self.state
        return SegmentationTraining(self.weights, state.best_top1, state.epoch, state.seconds)

    def _identity(self) -> dict[str, Any]:
        recipe = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.recipe).items()}
        job = self.job
        return {
            "model": repr(self.spec),
            "training_images": job.training.fingerprint,
            "validation_images": job.validation.fingerprint,
            "init": None if job.init is None else sha256_of(job.init),
            "weights_key": job.weights_key,
            **recipe,
        }

    def _first_state(self, resume: bool) -> RunState:
        identity = self._identity()
        if resume:
            return RunState.load(self.job.run, identity)
        if (self.job.run / STATE_FILE).exists():
            raise CheckpointError(
                f"{self.job.run} already holds a run. Add --resume to go on with it, or use "
                "--output."
            )
        return RunState(identity)

    def _restore(self) -> None:
        with parsing(lambda _: damaged(self.job.run / STATE_FILE)):
            self.module.load_state_dict(self.state.model)
            self.average.load_state_dict(self.state.average)
            self.optimizer.load_state_dict(self.state.optimizer)

    def _epoch(self, interrupted: threading.Event) -> None:
        state, steps = self.state, self.loader.training_steps
        label = f"epoch {state.epoch + 1}/{self.recipe.epochs}"
        batches = self.loader.training(self.recipe, state.epoch, state.step)
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
        if interrupted.is_set():
            self._save()
            raise TrainingInterruptedError(
                f"Stopped in epoch {self.state.epoch + 1}; the state is in "
                f"{self.job.run / STATE_FILE}. Go on with --resume."
            )

    def _step(self, batch: LabelledBatch, steps_per_epoch: int) -> float:
        self.module.train()
        rate = self.recipe.learning_rate_at(
            self.state.epoch * steps_per_epoch + self.state.step, steps_per_epoch
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        images = torch.from_numpy(batch.images).to(self.job.device)
        labels = torch.from_numpy(batch.labels).to(self.job.device)
        with torch.autocast(self.job.device, torch.bfloat16, enabled=self.bfloat16):
            loss = segmentation_loss(self.module, images, labels, self.weights_of_classes)
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

    def _finish_epoch(self, label: str, interrupted: threading.Event) -> None:
        miou = self._evaluate(interrupted)
        state = self.state
        entry = {
            "epoch": state.epoch + 1,
            "train_loss": round(state.loss_sum / max(1, state.step), 5),
            "val_miou": round(miou, 5),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds_total": round(state.seconds, 2),
        }
        self.progress.line(f"{label}  loss {entry['train_loss']:.3f}  val mIoU {100 * miou:.2f} %")
        if miou > state.best_top1:
            state.best_top1 = miou
            notes = {"val_miou": f"{miou:.4f}", "epoch": str(state.epoch + 1)}
            if self.job.training.void is not None:
                notes["void"] = str(self.job.training.void)
            notes["recipe"] = json.dumps(state.identity)
            name, classes = self.spec.name, self.job.classes
            save_checkpoint(self.weights, self.average.module, name, classes, notes)
        append(self.job.run, entry)
        state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0
        self._save()

    @torch.inference_mode()
    def _evaluate(self, interrupted: threading.Event) -> float:
        """mIoU of the averaged weights at the pictures' own size, as deployed."""
        self.average.eval()
        count = len(self.job.classes)
        confusion = np.zeros((count, count), np.int64)
        for place in range(len(self.validation.folder)):
            picture, labels = self.validation.pair(place)
            seen = image_io.resize(picture, self.spec.preprocess)
            averaged_module = cast(ZooModule, self.average.module)
            seen_pixels = torch.from_numpy(seen[None]).to(self.job.device)
            steps = averaged_module.steps(seen_pixels)
            mask = steps[MASK][0].cpu().numpy()
            height, width = picture.shape[:2]
            whole = mask_in_picture(mask, height, width, self.spec.preprocess)
            confusion += confusion_of(labels, whole, count)
            self._stop_if(interrupted)
        return mean_iou(confusion)

    def _save(self) -> None:
        self.state.model = self.module.state_dict()
        self.state.average = self.average.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        self.state.save(self.job.run)


def segmentation_loss(module: ZooModule, images: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy of every counted pixel. Scalar float32.

    Args:
        images: uint8 [B, S, S, 3]. labels: uint8 [B, S, S]; 255 is not counted.
        weights: float32 [classes].
    """
    pixels = enlarged(module.steps(images)[CLASS_MAP].float(), labels.shape[-1])
    counted = labels != VOID
    targets = labels.long().masked_fill(~counted, -100)
    if not bool(counted.any()):  # a batch of nothing teaches nothing, and its mean would be NaN
        return 0.0 * pixels.sum()
    return functional.cross_entropy(pixels, targets, weights, ignore_index=-100)


def _optimizer(module: ZooModule, recipe: SegmentationRecipe) -> torch.optim.Optimizer:
    """AdamW; vectors and tables do not decay, the pretrained backbone learns more slowly."""
    kinds = (nn.Linear, nn.Conv2d)
    decaying = {id(layer.weight) for layer in module.modules() if isinstance(layer, kinds)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        rate = recipe.backbone_rate if name.startswith(BACKBONE) else 1.0
        decay = recipe.weight_decay if id(parameter) in decaying else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "rate": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ],
        lr=recipe.learning_rate,
        fused=True,
    )

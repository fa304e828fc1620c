"""Training of a segmenter: the best epoch by mIoU is kept, and a run can be resumed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgevit.common.progress import Progress
from edgevit.images import image_io
from edgevit.images.labelled_masks.mask_folder import MaskFolder
from edgevit.inference.dense.letterbox import mask_in_picture
from edgevit.inference.dense.segmentation_metrics import confusion_of, mean_iou
from edgevit.models.classifier import ZooModule
from edgevit.models.dense.segmenter import BACKBONE, CLASS_MAP, enlarged
from edgevit.training.dense.dense_loop import DenseJob, DenseLoop, Measured
from edgevit.training.dense.segmentation_data import LabelledBatch, LabelledLoader
from edgevit.training.dense.segmentation_recipe import SegmentationRecipe
from edgevit.training.hardware import has_fast_bfloat16
from edgevit.training.run_folder import run_folder
from edgevit.zoo.tasks import MASK, VOID


@dataclass(frozen=True, kw_only=True)
class SegmentationJob(DenseJob):
    """classes: their names, by label. pixels: int64 [classes], of the training labels."""

    training: MaskFolder
    validation: MaskFolder
    classes: tuple[str, ...]
    pixels: NDArray[np.int64]
    recipe: SegmentationRecipe


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
    job = replace(job, spec=job.spec.with_classes(len(job.classes)))
    with run_folder(job.run):
        state = _Run(job, progress, resume).go()
    return SegmentationTraining(job.weights, state.best_top1, state.epoch, state.seconds)


def class_weights(pixels: NDArray[np.int64], balance: float) -> Tensor:
    """float32 [classes], mean 1: 1 / ln(balance + share) (ENet, arXiv 1606.02147); 0: all 1.

    A class without pixels weighs as much as the rarest.
    """
    if balance == 0:
        return torch.ones(len(pixels))
    shares = torch.from_numpy(pixels / max(1, pixels.sum()))
    weights = 1 / torch.log(balance + shares)
    return (weights / weights.mean()).float()


class _Run(DenseLoop[LabelledBatch]):
    def __init__(self, job: SegmentationJob, progress: Progress, resume: bool) -> None:
        self.job, self.recipe = job, job.recipe
        identity = job.identity(job.recipe)
        super().__init__(job, job.recipe, identity, progress, resume)
        self.bfloat16 = has_fast_bfloat16(job.device)
        self.weights_of_classes = class_weights(job.pixels, self.recipe.balance).to(job.device)
        size = job.spec.image_px
        self.loader = LabelledLoader(job.training, size, self.recipe.batch, job.threads)
        self.validation = LabelledLoader(job.validation, size, self.recipe.batch, job.threads)

    @property
    def _classes(self) -> tuple[str, ...]:
        return self.job.classes

    @property
    def _steps(self) -> int:
        return self.loader.training_steps

    def _batches(self, epoch: int, first_step: int) -> Iterator[LabelledBatch]:
        return self.loader.training(self.recipe, epoch, first_step)

    def _set_rates(self, step: int, steps_per_epoch: int) -> None:
        rate = self.recipe.learning_rate_at(step, steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]

    def _loss(self, batch: LabelledBatch) -> Tensor:
        images = torch.from_numpy(batch.images).to(self.job.device)
        labels = torch.from_numpy(batch.labels).to(self.job.device)
        with torch.autocast(self.job.device, torch.bfloat16, enabled=self.bfloat16):
            return segmentation_loss(self.module, images, labels, self.weights_of_classes)

    def _measure(self, interrupted: threading.Event) -> Measured:
        miou, void = self._mean_iou(interrupted), self.job.training.void
        notes = {"val_miou": f"{miou:.4f}"} | ({} if void is None else {"void": str(void)})
        return Measured(miou, f"val mIoU {100 * miou:.2f} %", {"val_miou": miou}, notes)

    @torch.inference_mode()
    def _mean_iou(self, interrupted: threading.Event) -> float:
        """At the pictures' own size."""
        self.average.eval()
        averaged_module = cast(ZooModule, self.average.module)
        preprocess, count = self.job.spec.preprocess, len(self.job.classes)
        confusion = np.zeros((count, count), np.int64)
        for place in range(len(self.validation.folder)):
            picture, labels = self.validation.pair(place)
            seen = torch.from_numpy(image_io.resize(picture, preprocess)[None])
            steps = averaged_module.steps(seen.to(self.job.device))
            mask = steps[MASK][0].cpu().numpy()
            height, width = picture.shape[:2]
            whole = mask_in_picture(mask, height, width, preprocess)
            confusion += confusion_of(labels, whole, count)
            self._stop_if(interrupted)
        return mean_iou(confusion)

    def _optimizer(self) -> torch.optim.Optimizer:
        """AdamW; vectors and tables do not decay, the pretrained backbone learns more slowly."""
        module, recipe = self.module, self.recipe
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

"""Training of a detector: the best epoch by AP50 is kept, and a run can be resumed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from edgevit.common.progress import Progress
from edgevit.images.labelled_boxes.box_folder import BoxFolder
from edgevit.inference.dense.detection_metrics import DetectionAccuracy, detection_accuracy
from edgevit.inference.dense.detections import Detections
from edgevit.models.dense.detector import BACKBONE, LavitDetector
from edgevit.training.dense.dense_loop import DenseJob, DenseLoop, Measured
from edgevit.training.dense.detection_data import DetectionBatch, DetectionLoader
from edgevit.training.dense.detection_loss import detection_loss
from edgevit.training.dense.detection_recipe import DetectionRecipe
from edgevit.training.dense.detection_targets import Truth
from edgevit.training.losses.objective import to_device
from edgevit.training.run_folder import run_folder
from edgevit.training.state import RunState
from edgevit.zoo.tasks import BOXES, OBJECT_CLASSES, SCORES


@dataclass(frozen=True, kw_only=True)
class DetectionJob(DenseJob):
    training: BoxFolder
    validation: BoxFolder
    recipe: DetectionRecipe


def train_detector(job: DetectionJob, progress: Progress, resume: bool = False) -> RunState:
    """Trains; leaves ``NAME.safetensors`` of the epoch of best AP50, ``last.pt``, ``log.jsonl``.

    Returns:
        the last state; its ``best_top1`` is the best AP50, 0 to 1.

    Raises:
        InputError: the weights to start from do not fit, or the run folder holds another run.
        TrainingInterruptedError: on Ctrl-C, after the state is saved.
    """
    with run_folder(job.run):
        return _Run(job, progress, resume).go()


class _Run(DenseLoop[DetectionBatch]):
    def __init__(self, job: DetectionJob, progress: Progress, resume: bool) -> None:
        self.job, self.recipe = job, job.recipe
        identity = job.identity(job.recipe)
        super().__init__(job, job.recipe, identity, progress, resume)
        self.detector = cast(LavitDetector, self.module)
        facts = (job.spec.preprocess, job.recipe.batch, job.threads)
        self.training = DetectionLoader(job.training, *facts)
        self.validation = DetectionLoader(job.validation, *facts)

    @property
    def _classes(self) -> tuple[str, ...]:
        return self.job.training.classes

    @property
    def _steps(self) -> int:
        return self.training.training_steps

    def _batches(self, epoch: int, first_step: int) -> Iterator[DetectionBatch]:
        return self.training.training(self.recipe, epoch, first_step)

    def _set_rates(self, step: int, steps_per_epoch: int) -> None:
        share = self.recipe.rate_share_at(step, steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share

    def _loss(self, batch: DetectionBatch) -> Tensor:
        device = self.job.device
        truth = [Truth(each.boxes.to(device), each.labels.to(device)) for each in batch.truth]
        answers = self.detector.dense(to_device(batch.images, device))
        return detection_loss(answers, truth, self.detector.decode)

    def _measure(self, interrupted: threading.Event) -> Measured:
        found = self._accuracy(interrupted)
        figures = {"val_ap": found.ap, "val_ap50": found.ap50}
        text = f"val AP50 {100 * found.ap50:.2f} %  AP {100 * found.ap:.2f} %"
        notes = {name: f"{value:.4f}" for name, value in figures.items()}
        return Measured(found.ap50, text, figures, notes)

    @torch.inference_mode()
    def _accuracy(self, interrupted: threading.Event) -> DetectionAccuracy:
        """AP in the pictures' own pixels."""
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
            self._stop_if(interrupted)
        return detection_accuracy(found, pictures, self.job.validation.classes)

    def _optimizer(self) -> torch.optim.Optimizer:
        """AdamW in four groups: backbone or new, and matrices or vectors, which do not decay."""
        module, recipe = self.module, self.recipe
        groups: list[dict[str, Any]] = []
        for of_backbone in (True, False):
            peak = recipe.learning_rate * (recipe.backbone_rate if of_backbone else 1.0)
            mine = [
                p for n, p in module.named_parameters() if n.startswith(BACKBONE) == of_backbone
            ]
            for decays in (True, False):
                parameters = [p for p in mine if (p.ndim > 1) == decays]
                decay = recipe.weight_decay if decays else 0.0
                groups.append(
                    {"params": parameters, "weight_decay": decay, "peak": peak, "lr": peak}
                )
        return torch.optim.AdamW(groups, fused=True)

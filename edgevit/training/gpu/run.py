"""One run on one device: epochs until it is done or the time is up, and a state in between."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgevit.common.errors import CheckpointError, InputError
from edgevit.models.build import build
from edgevit.models.classifier import ZooModule
from edgevit.training.gpu.epochs import Epochs, Task
from edgevit.training.gpu.folded_teacher import FoldedNetwork, placed
from edgevit.training.gpu.plan import Run
from edgevit.training.gpu.shards import Pictures
from edgevit.training.gpu.states import load_parts, save_parts
from edgevit.training.losses.guidance import Guidance, guidance_by_maps
from edgevit.training.losses.objective import loss_of

STATE_BYTES = 60 * 2**20
_VALIDATION_BATCH = 256


@dataclass(frozen=True)
class Job:
    """A run with all that it needs.

    training: at the size that pictures are stored in. validation: at the size of the answers.
    start: weights to start from, by name; those of another shape stay random.
    teacher: answers for every batch as the student sees it.
    """

    run: Run
    training: Pictures
    validation: Pictures
    device: str
    start: dict[str, Tensor] | None = None
    teacher: FoldedNetwork | None = None


class GpuRun:
    """A run with its data on the device."""

    def __init__(self, job: Job) -> None:
        run, training, device = job.run, job.training, job.device
        self.run, self.recipe, self.device = run, run.recipe, device
        self.classes = training.classes
        self.validation = job.validation
        torch.manual_seed(self.recipe.seed)
        self.module = build(run.spec.with_classes(len(self.classes)))
        if job.start is not None:
            fit = fitting(self.module, job.start)
            self.module.load_state_dict({**self.module.state_dict(), **fit})
        self.teacher = None if job.teacher is None else placed(job.teacher, device)
        self.columns = None if job.teacher is None else job.teacher.columns(self.classes, device)
        self.guidance = self._guidance()
        others = () if self.guidance is None else self.guidance.parameters()
        task = Task(run.name, self.module, training, run.spec.image_px, self._loss, tuple(others))
        self.epochs = Epochs(task, self.recipe, device)
        self.epoch, self.seconds = 0, 0.0

    def _guidance(self) -> Guidance | None:
        if not self.recipe.guidance:
            return None
        if self.teacher is None:
            raise InputError(f"{self.run.name} is guided by a teacher's maps and has no teacher.")
        return guidance_by_maps(self.run.spec, self.teacher.map_channels).to(self.device)

    @property
    def done(self) -> bool:
        return self.epoch >= self.recipe.epochs

    def train(
        self, deadline: float, say: Callable[[str], None], seconds: float | None = None
    ) -> bool:
        """Epochs while there is time for another; whether it is done.

        Args:
            deadline: in ``time.monotonic``; what is not done by then can be resumed.
            seconds: train for so long and not for the recipe's epochs: after every epoch their
                number is set to what still fits, and the learning rate follows.
        """
        taken, ends = 0.0, math.inf if seconds is None else time.monotonic() + seconds
        while not self.done and time.monotonic() + taken < deadline:
            started = time.monotonic()
            loss = self.epochs.train(self.recipe, self.epoch)
            taken = time.monotonic() - started
            self.seconds += taken
            self.epoch += 1
            if seconds is not None:
                remaining = ends - time.monotonic()
                # The first epoch prepares much, and says too little of how many fit.
                left = max(int(remaining > 0), int(remaining / taken))
                self.recipe = replace(self.recipe, epochs=self.epoch + left)
            say(
                f"{self.run.name}  epoch {self.epoch}/{self.recipe.epochs}  loss {loss:.3f}  "
                f"{self.epochs.order.numel() / taken:.0f} pictures/s"
            )
        return self.done

    def _loss(self, pictures: Tensor, targets: Tensor) -> Tensor:
        if self.teacher is None:
            return loss_of(self.module, pictures, targets, self.recipe)
        with torch.no_grad():
            answers, maps = self.teacher.answers(pictures)
            shares = answers[:, self.columns].float().softmax(dim=1)
            targets = torch.lerp(targets, shares, self.recipe.teacher_weight)
        guidance = None
        if self.guidance is not None:
            taught = {name: maps[name].float() for name in self.guidance.maps}
            guidance = partial(self.guidance, maps=taught)
        return loss_of(self.module, pictures, targets, self.recipe, guidance)

    def evaluate(self) -> dict[str, float]:
        """:func:`accuracy` of the averaged weights, float32, at the size of the answers."""
        module = build(self.run.answering_spec.with_classes(len(self.classes))).to(self.device)
        module.load_state_dict(self.epochs.average.module.state_dict())
        return accuracy(module, self.validation, self.device)

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights in float16, without counters."""
        state = self.epochs.average.module.state_dict()
        return {key: value.half() for key, value in state.items() if value.is_floating_point()}

    def row(self) -> dict[str, Any]:
        """The line of the log: what was trained, how, and how well it answers."""
        return {
            "run": self.run.name,
            "model": self.run.spec.name,
            "data": self.run.data,
            "init": self.run.init,
            **self.run.facts,
            "train_px": self.run.spec.image_px,
            "answer_px": self.run.answer_px,
            "teacher": self.run.teacher,
            "pictures": len(self.epochs.labels),
            "seconds": round(self.seconds, 1),
            "device": torch.cuda.get_device_name() if self.device == "cuda" else "cpu",
            "recipe": asdict(self.recipe),
            **({"classes": self.classes} if self.run.keeps_weights else {}),
            **self.evaluate(),
        }

    def save(self, folder: Path) -> None:
        """The state after an epoch, in parts.

        Of a large model the optimiser's moments are left out, and the weights are in float16: the
        moments are found anew within some steps, and what comes back from a rented GPU is limited.
        """
        tensors = {f"model.{key}": value for key, value in self.module.state_dict().items()}
        tensors |= {
            f"average.{key}": value for key, value in self.epochs.average.state_dict().items()
        }
        if self.guidance is not None:
            own = self.guidance.state_dict()
            tensors |= {f"guidance.{key}": value for key, value in own.items()}
        moments = {
            f"optimizer.{number}.{key}": value
            for number, entry in self.epochs.optimizer.state_dict()["state"].items()
            for key, value in entry.items()
        }
        if sum(tensor.nbytes for tensor in (*tensors.values(), *moments.values())) > STATE_BYTES:
            moments = {}
            tensors = {k: v.half() if v.dtype == torch.float32 else v for k, v in tensors.items()}
        progress = torch.tensor([self.epoch, self.seconds], dtype=torch.float64)
        facts = {"progress": progress, "identity": self._identity()}
        save_parts(folder, f"{self.run.name}.state", {**tensors, **moments, **facts})

    def restore(self, folder: Path) -> bool:
        """Goes on from :meth:`save`; whether there was something.

        Raises:
            CheckpointError: it is of another model, recipe or data.
        """
        tensors = load_parts(folder, f"{self.run.name}.state")
        if tensors is None:
            return False
        if not torch.equal(tensors["identity"], self._identity()):
            raise CheckpointError(
                f"{folder} holds a state of {self.run.name} that was trained by another plan. "
                "Delete its parts to start anew, or go back to that plan."
            )
        self.module.load_state_dict(_below("model.", tensors))
        self.epochs.average.load_state_dict(_below("average.", tensors))
        if self.guidance is not None:
            self.guidance.load_state_dict(_below("guidance.", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _below("optimizer.", tensors).items():
            number, _, moment = key.partition(".")
            state.setdefault(int(number), {})[moment] = value
        if state:
            self.epochs.restore(state)
        epoch, self.seconds = tensors["progress"].tolist()
        self.epoch = int(epoch)
        return True

    def _identity(self) -> Tensor:
        """Of all that a state depends on, uint8 [32]."""
        facts = repr((self.run, self.classes, len(self.epochs.labels)))
        return torch.tensor(list(hashlib.sha256(facts.encode()).digest()), dtype=torch.uint8)


@torch.inference_mode()
def accuracy(module: ZooModule, pictures: Pictures, device: str = "cpu") -> dict[str, float]:
    """For the line of the log: how many pictures there are, and the shares of right answers.

    A share is 0 to 1. ``pictures`` are at the module's size, and the module is on the device.
    """
    module.eval()
    right = {1: 0, 5: 0}
    pixels, labels = pictures.pixels, torch.from_numpy(pictures.labels)
    for first in range(0, len(labels), _VALIDATION_BATCH):
        seen = torch.from_numpy(pixels[first : first + _VALIDATION_BATCH]).to(device)
        wanted = labels[first : first + _VALIDATION_BATCH].to(device)
        order = module(seen).argsort(dim=1, descending=True)
        for count in right:
            right[count] += int((order[:, :count] == wanted[:, None]).any(1).sum())
    shares = {f"val_top{count}": round(hits / len(labels), 5) for count, hits in right.items()}
    return {"val_pictures": len(labels), **shares}


def fitting(module: ZooModule, start: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the same name and shape."""
    own = module.state_dict()
    return {
        key: value.to(own[key].dtype)
        for key, value in start.items()
        if key in own and own[key].shape == value.shape
    }


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }

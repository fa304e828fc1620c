"""Where and how a model that answers about places is trained, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, ClassVar

from edgevit.common.result import Result
from edgevit.common.tables import Section, Table, counted

if TYPE_CHECKING:
    from edgevit.zoo.spec import ModelSpec

HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class DenseRun:
    """See :func:`edgevit.workflows.train.train`. run: the folder that everything goes to."""

    spec: ModelSpec
    run: Path
    init: Path | None
    weights_key: str | None
    resume: bool
    device: str
    threads: int | None


@dataclass(frozen=True)
class SetSizes:
    """How much a training has to do. classes: None where only reading every label would say it."""

    classes: int | None
    training_images: int
    validation_images: int
    epochs: int
    batch: int

    def described(self) -> dict[str, str]:
        """The lines of a plan."""
        batch = min(self.batch, self.training_images)
        steps = self.epochs * max(1, self.training_images // self.batch)
        return {
            "classes": "as many as the labels show" if self.classes is None else str(self.classes),
            "training_images": str(self.training_images),
            "validation_images": str(self.validation_images),
            "epochs": f"{self.epochs}, {counted(steps, 'step')} of {counted(batch, 'image')}",
        }


@dataclass(frozen=True)
class DenseTrainResult(Result):
    """weights: float16 safetensors of the best epoch. best: its metric on the validation pictures.

    metric: what the metric is called in a table. metric_key: in JSON.
    """

    model: str
    weights: Path
    run: Path
    best: float
    epochs: int
    seconds: float
    training_images: int
    validation_images: int
    device: str

    is_first_process: ClassVar[bool] = True  # it is trained in one
    metric: ClassVar[str]
    metric_key: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "weights": str(self.weights),
            "run": str(self.run),
            self.metric_key: round(self.best, 5),
            "epochs": self.epochs,
            "seconds": round(self.seconds, 1),
            "training_images": self.training_images,
            "validation_images": self.validation_images,
            "device": self.device,
            "next": self._next,
        }

    def sections(self) -> list[Section]:
        took = f"{counted(self.epochs, 'epoch')}, {self.seconds:.0f} s"
        best = f"{100 * self.best:.2f} % on {self.validation_images} validation pictures"
        rows = [
            ("weights", str(self.weights)),
            (f"best {self.metric}", best),
            ("training", f"{self.training_images} pictures, {took}"),
            ("next", self._next),
        ]
        return [Table(f"trained {self.model} on {self.device}", ("", ""), rows)]

    @property
    def _next(self) -> str:
        return f"edgevit export --model {self.model} --checkpoint {quote(str(self.weights))}"

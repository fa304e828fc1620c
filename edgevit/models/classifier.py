"""What every module of the zoo is: pictures in, answers and what leads to them out."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from edgevit.zoo.interface.tensors import LOGITS
from edgevit.zoo.spec import ModelSpec


class ZooModule(nn.Module, ABC):
    """A module that was built from a spec, whatever its task."""

    spec: ModelSpec
    least_share = 0.8  # of its numbers must fit for weights to be a start: two families share MLPs

    @abstractmethod
    def steps(self, image: Tensor) -> dict[str, Tensor]:
        """Picture, uint8 or float [B, H, W, 3] RGB 0..255, to the tensors on its way, by name.

        The outputs of the task (:data:`edgevit.zoo.tasks.TASK_OUTPUTS`) are always there.
        """

    def source_key(self, key: str) -> str:
        """What a weight is called in a checkpoint to start from, which may be another model's."""
        return key

    def grown(self, key: str, given: Tensor) -> Tensor:
        """A weight of a smaller model of this kind, in the size that this model has it.

        Such that the larger model answers as the smaller did, where a way is known; otherwise, and
        always in this base class, as it was given.
        """
        del key
        return given

    def taps(self, image: Tensor) -> dict[str, Tensor]:
        """The steps, and whatever else an exported file can give."""
        return self.steps(image)


class Classifier(ZooModule):
    """A trunk with a linear ``head`` on one summary vector a picture.

    ``steps`` always give the ``summary`` [B, D], which the head reads, beside the ``logits``.
    """

    head: nn.Linear

    def forward(self, image: Tensor) -> Tensor:
        """Picture, as in :meth:`steps`, to logits [B, classes]."""
        return self.steps(image)[LOGITS]

"""What every family's module is: pictures in, logits and what leads to them out."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from edgevit.zoo.spec import LOGITS, ModelSpec


class Classifier(nn.Module, ABC):
    """A trunk with a linear ``head`` on one summary vector a picture."""

    spec: ModelSpec
    head: nn.Linear

    @abstractmethod
    def steps(self, image: Tensor) -> dict[str, Tensor]:
        """Picture, uint8 or float [B, H, W, 3] RGB 0..255, to the tensors on its way, by name.

        ``logits`` [B, classes] and ``summary`` [B, D], which the head reads, are always there.
        """

    def forward(self, image: Tensor) -> Tensor:
        """Picture, as in :meth:`steps`, to logits [B, classes]."""
        return self.steps(image)[LOGITS]

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

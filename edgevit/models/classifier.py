"""What every family's module is: pictures in, logits and what leads to them out."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from edgevit.spec import LOGITS, ModelSpec


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

    def taps(self, image: Tensor) -> dict[str, Tensor]:
        """The steps, and whatever else an exported file can give."""
        return self.steps(image)

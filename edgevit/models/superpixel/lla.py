"""Light latent attention (LLA): L learned latents between K+1 superpixel tokens and the answer.

Source: "Focus Your Attention", arXiv 2506.18791; its public code has no learned latents, so the
wirings are ours. This file has what they share; each has a file of its own:

- ``carry`` (:mod:`.lla_carry`): latents travel through the layers and read tokens
  that never change. The default.
- ``joint`` (:mod:`.lla_joint`): as ``carry``, but latents read each other too.
- ``writeback`` (:mod:`.lla_writeback`): tokens travel, and each layer attends
  through its latents and back. At 17 tokens it saves nothing; it is there to be compared.
- ``self`` (:mod:`.lla_self`): no latents, plain self-attention: SPPP alone.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from edgevit.models.classifier import Classifier
from edgevit.models.layers import init_linear, layer_norm
from edgevit.models.superpixel.sppp import SuperpixelPatchPooling, SuperpixelTokens
from edgevit.zoo.interface.tensors import ASSIGNMENT, LOGITS, SUMMARY, SUPERPIXEL_MAP
from edgevit.zoo.spec import LlaSpec


class LlaClassifier(Classifier):
    """SPPP tokens, layers of some wiring, a linear head."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.spec: LlaSpec = spec
        self.tokens = SuperpixelPatchPooling(spec)
        self.norm = layer_norm(spec.width)
        self.head = nn.Linear(spec.width, spec.classes)

    def initialise(self) -> None:
        """Random weights; to be called when every layer is there."""
        self.apply(init_linear)
        self.tokens.stem.reset_parameters()

    @abstractmethod
    def encode(self, sppp: SuperpixelTokens) -> tuple[Tensor, Tensor]:
        """Tokens to (encoded rows [B * count, D], one normalised summary [B, D])."""

    def taps(self, image: Tensor) -> dict[str, Tensor]:
        """The steps and, where there are superpixels, their map."""
        steps = self.steps(image)
        if not self.spec.has_superpixels:
            return steps
        labels = self.tokens.superpixels.label_map(steps[ASSIGNMENT])
        return {**steps, SUPERPIXEL_MAP: labels}

    def steps(self, image: Tensor) -> dict[str, Tensor]:
        """The logits, the summary, and the superpixels and tokens that lead to them."""
        sppp = self.tokens(image)
        encoded, summary = self.encode(sppp)
        steps = {
            LOGITS: self.head(summary),
            SUMMARY: summary,
            "pooled": sppp.pooled.means,
            "tokens": sppp.tokens,
            "encoded": encoded,
        }
        if not self.spec.has_superpixels:  # the same for every picture
            return steps
        return steps | {
            ASSIGNMENT: sppp.assignment,
            "membership": sppp.pooled.membership,
            "centroids": sppp.pooled.centroids,
        }


def attention_scale(spec: LlaSpec) -> float:
    """1 / sqrt(d), d the width of a head."""
    return float((spec.width // spec.heads) ** -0.5)

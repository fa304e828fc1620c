"""SPPP alone, without LLA: plain self-attention among the superpixel tokens.

What the pooling gains by itself, for comparison. CLS is kept, and the answer is read off it.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgevit.models.superpixel.lla import LlaClassifier
from edgevit.models.superpixel.sppp import SuperpixelTokens
from edgevit.models.vit import VitBlock
from edgevit.zoo.spec import LlaSpec


class SelfClassifier(LlaClassifier):
    """The layers of a plain ViT; empty superpixels are masked."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__(spec)
        self.blocks = nn.ModuleList(VitBlock(spec) for _ in range(spec.depth))
        self.initialise()

    def encode(self, sppp: SuperpixelTokens) -> tuple[Tensor, Tensor]:
        batch, count, width = sppp.tokens.shape
        tokens = sppp.tokens.reshape(-1, width)
        for block in self.blocks:
            tokens = block(tokens, batch, sppp.mask)
        return tokens, self.norm(tokens.reshape(batch, count, width)[:, 0])

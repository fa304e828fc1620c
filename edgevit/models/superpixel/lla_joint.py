"""LLA ``joint``: ``carry`` with keys and values from [T; Z], tokens and latents together.

Z changes from layer to layer, so keys and values are projected in every layer:
    Z += W_O softmax(Q(LN Z) K([LN T; LN Z])^T / sqrt(d) + mask) V([LN T; LN Z]);   Z += MLP(LN Z)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.models.layers import Mlp, layer_norm, merge_heads, split_heads
from edgevit.models.superpixel.lla import LlaClassifier, attention_scale
from edgevit.models.superpixel.sppp import SuperpixelTokens
from edgevit.zoo.spec import LlaSpec


class JointBlock(nn.Module):
    """One layer: latents read the tokens and each other, then an MLP."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.scale = attention_scale(spec)
        self.norm_tokens = layer_norm(spec.width)
        self.norm_attention = layer_norm(spec.width)
        self.query = nn.Linear(spec.width, spec.width)
        self.key_value = nn.Linear(spec.width, 2 * spec.width)
        self.output = nn.Linear(spec.width, spec.width)
        self.norm_mlp = layer_norm(spec.width)
        self.mlp = Mlp(spec.width, spec.mlp_ratio)

    def forward(self, latents: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """latents [B*L, D]; tokens [B, T, D]; mask [B, 1, 1, T + L]."""
        batch, _, width = tokens.shape
        normal = self.norm_attention(latents)
        read = torch.cat([self.norm_tokens(tokens), normal.reshape(batch, -1, width)], dim=1)
        projected = split_heads(self.key_value(read.reshape(-1, width)), batch, 2 * self.heads)
        keys, values = projected.chunk(2, dim=1)
        query = split_heads(self.query(normal), batch, self.heads)
        scores = query @ keys.transpose(-2, -1) * self.scale + mask
        latents = latents + self.output(merge_heads(scores.softmax(dim=-1) @ values))
        result: Tensor = latents + self.mlp(self.norm_mlp(latents))
        return result


class JointClassifier(LlaClassifier):
    """The answer is read off the mean of the latents."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__(spec)
        self.latents = nn.Parameter(torch.zeros(spec.latents, spec.width))
        self.blocks = nn.ModuleList(JointBlock(spec) for _ in range(spec.depth))
        self.initialise()
        nn.init.normal_(self.latents, std=0.02)

    def encode(self, sppp: SuperpixelTokens) -> tuple[Tensor, Tensor]:
        batch, count = sppp.tokens.shape[0], self.spec.latents
        latents = self.latents.expand(batch, -1, -1).reshape(-1, self.spec.width)
        mask = nn.functional.pad(sppp.mask, (0, count))  # latents are never masked
        for block in self.blocks:
            latents = block(latents, sppp.tokens, mask)
        return latents, self.norm(latents).reshape(batch, count, -1).mean(dim=1)

"""LLA ``writeback``: a drop-in for self-attention. The tokens T travel, each layer has latents A.

    U = softmax(A K(LN T)^T / sqrt(d) + mask) V(LN T)      latents gather,  [B, h, L, d]
    Y = softmax(Q(LN T) A^T / sqrt(d)) U                   tokens read back, [B, h, K+1, d]
    T += W_O Y;   T += MLP(LN T)

Attention costs 2 (K+1) L instead of (K+1)^2, which pays from K of about 2 L; all else runs on K+1
tokens, so ``carry`` is faster. CLS is kept, and the answer is read off it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.models.layers import Mlp, layer_norm, merge_heads, split_heads
from edgevit.models.superpixel.lla import LlaClassifier, attention_scale
from edgevit.models.superpixel.sppp import SuperpixelTokens
from edgevit.zoo.spec import LlaSpec


class WritebackBlock(nn.Module):
    """One layer: tokens attend through the latents and back, then an MLP."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.scale = attention_scale(spec)
        self.norm_attention = layer_norm(spec.width)
        self.query_key_value = nn.Linear(spec.width, 3 * spec.width)
        self.latents = nn.Parameter(torch.zeros(spec.heads, spec.latents, spec.width // spec.heads))
        self.output = nn.Linear(spec.width, spec.width)
        self.norm_mlp = layer_norm(spec.width)
        self.mlp = Mlp(spec.width, spec.mlp_ratio)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens [B*T, D]; mask [B, 1, 1, T]."""
        projected = self.query_key_value(self.norm_attention(tokens))
        heads = split_heads(projected, mask.shape[0], 3 * self.heads)
        query, key, value = heads.chunk(3, dim=1)
        gather = self.latents @ key.transpose(-2, -1) * self.scale + mask
        gathered = gather.softmax(dim=-1) @ value
        read = query @ self.latents.transpose(-2, -1) * self.scale
        tokens = tokens + self.output(merge_heads(read.softmax(dim=-1) @ gathered))
        result: Tensor = tokens + self.mlp(self.norm_mlp(tokens))
        return result


class WritebackClassifier(LlaClassifier):
    """The answer is read off CLS."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__(spec)
        blocks = [WritebackBlock(spec) for _ in range(spec.depth)]
        self.blocks = nn.ModuleList(blocks)
        self.initialise()
        for block in blocks:
            nn.init.normal_(block.latents, std=0.02)

    def encode(self, sppp: SuperpixelTokens) -> tuple[Tensor, Tensor]:
        batch, count, width = sppp.tokens.shape
        tokens = sppp.tokens.reshape(-1, width)
        for block in self.blocks:
            tokens = block(tokens, sppp.mask)
        return tokens, self.norm(tokens.reshape(batch, count, width)[:, 0])

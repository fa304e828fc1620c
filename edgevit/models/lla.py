"""Light latent attention (LLA), wiring ``carry``: L latents read K+1 superpixel tokens.

Source: "Focus Your Attention", arXiv 2506.18791; its public code has no learned latents, so the
wiring is ours. Queries, output projections and MLPs run on L latents only:
    Z += W_O softmax(Q(LN Z) K(LN T)^T / sqrt(d) + mask) V(LN T);   Z += MLP(LN Z).
The token set T never changes, so it is normalised once and one linear map gives the keys and
values of every layer: exactly a LayerNorm and a projection a layer, with the affines folded in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.models.layers import Mlp, init_linear, layer_norm, merge_heads, split_heads
from edgevit.models.sppp import SuperpixelPatchPooling
from edgevit.spec import SUPERPIXEL_MAP, LlaSpec


class KeysAndValues(nn.Module):
    """Keys and values of all layers from the tokens, by one LayerNorm and one linear map."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.spec = spec
        self.norm = layer_norm(spec.width, affine=False)
        self.linear = nn.Linear(spec.width, 2 * spec.depth * spec.width)

    def forward(self, tokens: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """[B, T, D] to (keys, values): a [B, h, T, d] each per layer."""
        batch, count, width = tokens.shape
        rows = self.linear(self.norm(tokens).reshape(batch * count, width))
        # Every head of every layer's keys, then of its values: one transpose serves all of them.
        heads = split_heads(rows, batch, 2 * self.spec.depth * self.spec.heads)
        parts = torch.split(heads, self.spec.heads, dim=1)
        return parts[: self.spec.depth], parts[self.spec.depth :]


class CarryBlock(nn.Module):
    """One layer: latents read the tokens, then an MLP."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.scale = (spec.width // spec.heads) ** -0.5
        self.norm_attention = layer_norm(spec.width)
        self.query = nn.Linear(spec.width, spec.width)
        self.output = nn.Linear(spec.width, spec.width)
        self.norm_mlp = layer_norm(spec.width)
        self.mlp = Mlp(spec.width, spec.mlp_ratio)

    def forward(self, latents: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """latents [B*L, D]; keys, values [B, h, T, d]; mask [B, 1, 1, T]."""
        query = split_heads(self.query(self.norm_attention(latents)), keys.shape[0], self.heads)
        scores = query @ keys.transpose(-2, -1) * self.scale + mask
        latents = latents + self.output(merge_heads(scores.softmax(dim=-1) @ values))
        result: Tensor = latents + self.mlp(self.norm_mlp(latents))
        return result


class LlaClassifier(nn.Module):
    """SPPP tokens, LLA ``carry`` layers, mean over the latents, linear head."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.spec = spec
        self.tokens = SuperpixelPatchPooling(spec)
        self.keys_and_values = KeysAndValues(spec)
        self.latents = nn.Parameter(torch.zeros(spec.latents, spec.width))
        self.blocks = nn.ModuleList(CarryBlock(spec) for _ in range(spec.depth))
        self.norm = layer_norm(spec.width)
        self.head = nn.Linear(spec.width, spec.classes)
        self.apply(init_linear)
        nn.init.normal_(self.latents, std=0.02)

    def forward(self, image: Tensor) -> Tensor:
        """Picture, uint8 or float [B, H, W, 3] RGB 0..255, to logits [B, classes]."""
        return self._run(image)["logits"]

    def taps(self, image: Tensor) -> dict[str, Tensor]:
        """The logits, what leads to them (for a parity check), and the superpixel map."""
        taps = self._run(image)
        labels = self.tokens.superpixels.label_map(taps["assignment"])
        return {**taps, SUPERPIXEL_MAP: labels}

    def _run(self, image: Tensor) -> dict[str, Tensor]:
        batch = image.shape[0]
        sppp = self.tokens(image)
        keys, values = self.keys_and_values(sppp.tokens)
        latents = self.latents.expand(batch, -1, -1).reshape(-1, self.spec.width)
        for block, key, value in zip(self.blocks, keys, values, strict=True):
            latents = block(latents, key, value, sppp.mask)
        pooled = self.norm(latents).reshape(batch, self.spec.latents, -1).mean(dim=1)
        return {
            "logits": self.head(pooled),
            "assignment": sppp.assignment,
            "membership": sppp.pooled.membership,
            "pooled_patches": sppp.pooled.rows,
            "centroids": sppp.pooled.centroids,
            "tokens": sppp.tokens,
            "latents": latents,
        }

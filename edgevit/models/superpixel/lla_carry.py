"""LLA ``carry``: the latents Z travel, the tokens T stay.

    Z += W_O softmax(Q(LN Z) K(LN T)^T / sqrt(d) + mask) V(LN T);   Z += MLP(LN Z)

Queries, output projections and MLPs run on L latents only. T never changes, so it is normalised
once, and one linear map gives the keys and values of every layer: exactly a LayerNorm and a
projection a layer, with the affines folded in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.models.layers import Mlp, layer_norm, merge_heads, split_heads
from edgevit.models.superpixel.lla import LlaClassifier, attention_scale
from edgevit.models.superpixel.sppp import SuperpixelTokens
from edgevit.zoo.spec import LlaSpec

_COPY_NOISE = 0.1  # of the spread of what is copied


class KeysAndValues(nn.Module):
    """Keys and values of all layers from the tokens, by one LayerNorm and one linear map."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.spec = spec
        self.norm = layer_norm(spec.width, affine=False)
        self.sets = spec.depth // spec.layers_per_reading
        self.linear = nn.Linear(spec.width, 2 * self.sets * spec.width)

    def forward(self, tokens: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """[B, T, D] to (keys [B, h, d, T], values [B, h, T, d]), one of each a reading."""
        batch, count, width = tokens.shape
        rows = self.linear(self.norm(tokens).reshape(batch * count, width))
        keys, values = rows.reshape(batch, count, -1).chunk(2, dim=-1)
        # All layers at once: one transpose serves all keys, another all values.
        heads = self.sets * self.spec.heads
        keys = keys.reshape(batch, count, heads, -1).permute(0, 2, 3, 1)
        values = split_heads(values, batch, heads)
        return (
            torch.split(keys, self.spec.heads, dim=1),
            torch.split(values, self.spec.heads, dim=1),
        )

    def grown(self, given: Tensor) -> Tensor:
        """Weight or bias for fewer readings [2 * fewer * D, ..]: each now serves fewer layers."""
        readings = given.reshape(2, -1, self.spec.width, *given.shape[1:])
        if self.sets % readings.shape[1]:
            return given
        shared_by = self.sets // readings.shape[1]
        return readings.repeat_interleave(shared_by, dim=1).reshape(-1, *given.shape[1:])


class CarryBlock(nn.Module):
    """One layer: latents read the tokens, then an MLP."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.scale = attention_scale(spec)
        self.norm_attention = layer_norm(spec.width)
        self.query = nn.Linear(spec.width, spec.width)
        self.output = nn.Linear(spec.width, spec.width)
        self.norm_mlp = layer_norm(spec.width)
        self.mlp = Mlp(spec.width, spec.mlp_ratio)

    def forward(self, latents: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """latents [B*L, D]; keys [B, h, d, T]; values [B, h, T, d]; mask [B, 1, 1, T]."""
        query = split_heads(self.query(self.norm_attention(latents)), keys.shape[0], self.heads)
        scores = query @ keys * self.scale + mask
        latents = latents + self.output(merge_heads(scores.softmax(dim=-1) @ values))
        result: Tensor = latents + self.mlp(self.norm_mlp(latents))
        return result


class CarryClassifier(LlaClassifier):
    """The answer is read off the mean of the latents."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__(spec)
        self.keys_and_values = KeysAndValues(spec)
        self.latents = nn.Parameter(torch.zeros(spec.latents, spec.width))
        self.blocks = nn.ModuleList(CarryBlock(spec) for _ in range(spec.depth))
        if spec.picture_latents:
            self.from_picture = nn.Linear(spec.pooled_width, spec.width)
        self.initialise()
        nn.init.normal_(self.latents, std=0.02)

    def grown(self, key: str, given: Tensor) -> Tensor:
        """More latents are copies: their mean stays. More readings: layers had it in common."""
        if key == "latents" and self.spec.latents % len(given) == 0:
            return _copies(given, self.spec.latents // len(given))
        if key.startswith("keys_and_values.linear."):
            return self.keys_and_values.grown(given)
        return given

    def encode(self, sppp: SuperpixelTokens) -> tuple[Tensor, Tensor]:
        batch = sppp.tokens.shape[0]
        keys, values = self.keys_and_values(sppp.tokens)
        latents = self._first_latents(sppp.values, batch).reshape(-1, self.spec.width)
        for number, block in enumerate(self.blocks):
            reading = number // self.spec.layers_per_reading
            latents = block(latents, keys[reading], values[reading], sppp.mask)
        return latents, self.norm(latents).reshape(batch, self.spec.latents, -1).mean(dim=1)

    def _first_latents(self, values: Tensor, batch: int) -> Tensor:
        """[B, L, D]: the learned ones, and what the mean of all that is pooled adds to each."""
        learned = self.latents.expand(batch, -1, -1)
        if not self.spec.picture_latents:
            return learned
        of_picture: Tensor = self.from_picture(values.mean(dim=1))
        return learned + of_picture[:, None]


def _copies(latents: Tensor, count: int) -> Tensor:
    """[L, D] to [count * L, D], all but the first with some noise: equal ones learn the same."""
    copies = latents.repeat(count, 1)
    noise = _COPY_NOISE * latents.std() * torch.randn_like(copies)
    noise[: len(latents)] = 0
    return copies + noise

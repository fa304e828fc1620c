"""The plain vision transformer (DeiT shape): the baseline of every claim."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.models.classifier import Classifier
from edgevit.models.layers import (
    Mlp,
    PatchEmbed,
    init_linear,
    layer_norm,
    merge_heads,
    patch_rows,
    split_heads,
)
from edgevit.zoo.interface.tensors import LOGITS, SUMMARY
from edgevit.zoo.spec import IsotropicSpec, VitSpec


class VitBlock(nn.Module):
    """Pre-norm self-attention and MLP."""

    def __init__(self, spec: IsotropicSpec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.scale = (spec.width // spec.heads) ** -0.5
        self.norm_attention = layer_norm(spec.width)
        self.query_key_value = nn.Linear(spec.width, 3 * spec.width)
        self.output = nn.Linear(spec.width, spec.width)
        self.norm_mlp = layer_norm(spec.width)
        self.mlp = Mlp(spec.width, spec.mlp_ratio)

    def forward(self, tokens: Tensor, batch: int, mask: Tensor | None = None) -> Tensor:
        """tokens [B*T, D]; mask [B, 1, 1, T], added to the scores."""
        projected = self.query_key_value(self.norm_attention(tokens))
        query, key, value = split_heads(projected, batch, 3 * self.heads).chunk(3, dim=1)
        scores = query @ key.transpose(-2, -1) * self.scale
        if mask is not None:
            scores = scores + mask
        tokens = tokens + self.output(merge_heads(scores.softmax(dim=-1) @ value))
        result: Tensor = tokens + self.mlp(self.norm_mlp(tokens))
        return result


class VitClassifier(Classifier):
    """Patches, CLS, learned positions, blocks, head on CLS.

    Of a distilled one ``cls`` holds the distillation token too, and the head reads both.
    """

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.spec: VitSpec = spec
        self.embed = PatchEmbed(spec, spec.patch_px**2, spec.width)
        leading = spec.leading_tokens
        self.cls = nn.Parameter(torch.zeros(1, leading, spec.width))
        self.position = nn.Parameter(torch.zeros(1, spec.patches + leading, spec.width))
        self.blocks = nn.ModuleList(VitBlock(spec) for _ in range(spec.depth))
        self.norm = layer_norm(spec.width)
        self.head = nn.Linear(leading * spec.width, spec.classes)
        self.apply(init_linear)
        for parameter in (self.cls, self.position):
            nn.init.normal_(parameter, std=0.02)

    def steps(self, image: Tensor) -> dict[str, Tensor]:
        """The logits, the summary, the tokens before and after the blocks, and feature maps

        [B, D, H, W] where ``spec.feature_maps`` names some: what the patches' tokens say after two
        thirds of the blocks, a place a patch, and after all of them, the mean of four patches.
        """
        batch = image.shape[0]
        embedded = self.embed(patch_rows(image, self.spec.patch_px))
        placed = torch.cat([self.cls.expand(batch, -1, -1), embedded], dim=1) + self.position
        tokens = placed.reshape(-1, self.spec.width)
        inner, two_thirds = tokens, max(1, 2 * len(self.blocks) // 3)
        for number, block in enumerate(self.blocks, 1):
            tokens = block(tokens, batch)
            if number == two_thirds:
                inner = tokens
        summary = self._summary(tokens, batch)
        return {
            LOGITS: self.head(summary),
            SUMMARY: summary,
            "tokens": placed,
            "encoded": tokens,
            **self._feature_maps(inner, tokens, batch),
        }

    def _summary(self, tokens: Tensor, batch: int) -> Tensor:
        """Rows [B*T, D] to what the head reads, [B, D], or [B, 2*D] of a distilled one."""
        placed = tokens.reshape(batch, -1, self.spec.width)
        if self.spec.distilled:
            both: Tensor = self.norm(placed[:, :2])
            return both.flatten(1)
        summary: Tensor = self.norm(placed[:, 0])
        return summary

    def _feature_maps(self, inner: Tensor, last: Tensor, batch: int) -> dict[str, Tensor]:
        """Rows [B*T, D] of an inner block and of the last to maps."""
        if not self.spec.feature_maps:
            return {}
        side, width, leading = self.spec.side, self.spec.width, self.spec.leading_tokens
        fine, deep = (
            tokens.reshape(batch, -1, width)[:, leading:].reshape(batch, side, side, width)
            for tokens in (inner, last)
        )
        squares = deep.reshape(batch, side // 2, 2, side // 2, 2, width)
        maps = (fine, squares.mean(dim=(2, 4)))
        return {
            name: plane.permute(0, 3, 1, 2)
            for name, plane in zip(self.spec.feature_maps, maps, strict=True)
        }

"""Stems: what of a patch is pooled, and how a pooled row becomes a token.

SPPP pools embedded patches. An embedding ends in a linear map, and the mean over patches of
(W f + b) is W (mean of f) + b: so we pool what comes before that map, exactly, and embed K rows
instead of N.

- ``linear``:  f is the raw patch x, as in the paper. A mean of raw patches keeps only 15 % of the
  detail inside patches at K=16.
- ``moments``: f is [x, x^2]; second moments add contrast.
- ``convolution``: f is the map of a convolutional trunk, whose convolutions overlap the patches:
  much better.
- ``strips``:  f is a small network of x (ours): features of what a patch shows; the mean over a
  superpixel says how much of each there is. The best answers among those without convolutions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from edgevit.models.convolutions import Trunk
from edgevit.models.layers import PatchEmbed
from edgevit.zoo.spec import STRIP_WIDTHS, STRIPS, LlaSpec


class Stem(nn.Module, ABC):
    """``values`` are pooled, ``forward`` embeds what was pooled."""

    @abstractmethod
    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()

    @abstractmethod
    def values(self, pixels: Tensor, patches: Tensor) -> Tensor:
        """The picture [B, H, W, 3] and its patch rows [B, N, P*P*3], both float32 0..255, to rows
        to be pooled [B, N, C]."""

    @abstractmethod
    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled rows [B, K, C] to [B, K, D]."""

    def reset_parameters(self) -> None:
        """Random weights other than those of every linear layer; by default none."""


class LinearStem(Stem):
    """Pools raw patches."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__(spec)
        self.embed = PatchEmbed(spec, spec.patch_px**2, spec.width)

    def values(self, pixels: Tensor, patches: Tensor) -> Tensor:
        del pixels
        return patches

    def forward(self, pooled: Tensor) -> Tensor:
        embedded: Tensor = self.embed(pooled)
        return embedded


class MomentStem(Stem):
    """Pools raw patches and their squares."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__(spec)
        self.embed = PatchEmbed(spec, spec.patch_px**2, spec.width, moments=2)

    def values(self, pixels: Tensor, patches: Tensor) -> Tensor:
        del pixels
        return torch.cat([patches, patches.square()], dim=-1)

    def forward(self, pooled: Tensor) -> Tensor:
        embedded: Tensor = self.embed(pooled)
        return embedded


class StripStem(Stem):
    """Pools features: of four strips of a patch by one map, then of the four together.

    A strip is a quarter of a patch, full rows of pixels: contiguous, so that cutting costs
    nothing. Both maps end in a ReLU.
    """

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__(spec)
        of_strip, of_patch = STRIP_WIDTHS
        self.of_strip = PatchEmbed(spec, spec.patch_px**2 // STRIPS, of_strip)
        self.of_patch = nn.Linear(STRIPS * of_strip, of_patch)
        self.embed = nn.Linear(of_patch, spec.width)

    def values(self, pixels: Tensor, patches: Tensor) -> Tensor:
        del pixels
        batch, count, values = patches.shape
        strips = self.of_strip(patches.reshape(-1, values // STRIPS)).relu()
        features: Tensor = self.of_patch(strips.reshape(batch * count, -1)).relu()
        return features.reshape(batch, count, -1)

    def forward(self, pooled: Tensor) -> Tensor:
        embedded: Tensor = self.embed(pooled)
        return embedded

    def reset_parameters(self) -> None:
        """Keeps the spread of what passes through (He for the maps before a ReLU)."""
        for linear in (self.of_strip.linear, self.of_patch):
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        nn.init.normal_(self.embed.weight, std=self.embed.in_features**-0.5)


class ConvolutionStem(Stem):
    """Pools the map of a convolutional trunk, a place a patch."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__(spec)
        if spec.trunk is None:  # a spec refuses this itself
            raise TypeError(f"{spec.name} has no trunk")
        self.trunk = Trunk(spec, spec.trunk)
        self.embed = nn.Linear(spec.trunk.width, spec.width)

    def values(self, pixels: Tensor, patches: Tensor) -> Tensor:
        del patches
        seen: Tensor = self.trunk(pixels)
        return seen.flatten(2).transpose(1, 2)

    def forward(self, pooled: Tensor) -> Tensor:
        embedded: Tensor = self.embed(pooled)
        return embedded

    def reset_parameters(self) -> None:
        nn.init.normal_(self.embed.weight, std=self.embed.in_features**-0.5)


STEMS: dict[str, type[Stem]] = {
    "linear": LinearStem,
    "moments": MomentStem,
    "strips": StripStem,
    "convolution": ConvolutionStem,
}

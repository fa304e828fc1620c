"""Superpixel patch pooling (SPPP): from a picture to K+1 tokens.

Source: "Focus Your Attention", arXiv 2506.18791; reconstructed from its abstract and public code,
the wiring is ours. Two choices differ from that code: superpixels are computed in the graph, and
patches are pooled before the last map of their embedding (:mod:`edgevit.models.superpixel.stem`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgevit.models.layers import merge_squares, pixel_values
from edgevit.models.superpixel.stem import STEMS, Stem
from edgevit.models.superpixel.superpixels import Pooled, Superpixels
from edgevit.zoo.spec import LlaSpec


class SuperpixelTokens(NamedTuple):
    """tokens: [B, K+1, D], CLS first. mask: [B, 1, 1, K+1], 0 for a token to look at and -1e4 for
    an empty superpixel (additive and finite: safe in float16). values: [B, N, C], what was pooled.
    assignment, pooled: see :mod:`edgevit.models.superpixel.superpixels`."""

    tokens: Tensor
    mask: Tensor
    values: Tensor
    assignment: Tensor
    pooled: Pooled


class CentroidPosition(nn.Module):
    """2-D sin-cos code of a place: sin and cos of y, then of x, D/4 frequencies each."""

    frequencies: Tensor
    phases: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        quarter = width // 4
        frequency = 10000.0 ** (-torch.arange(quarter) / quarter)
        zeros = torch.zeros(quarter)
        along_y = torch.cat([frequency, frequency, zeros, zeros])
        along_x = torch.cat([zeros, zeros, frequency, frequency])
        self.register_buffer("frequencies", torch.stack([along_y, along_x]), persistent=False)
        # cos(a) = sin(a + pi/2): one Sin instead of a Sin, a Cos and two Concats.
        ninety_degrees = torch.full((quarter,), math.pi / 2)
        phases = torch.cat([zeros, ninety_degrees, zeros, ninety_degrees])
        self.register_buffer("phases", phases, persistent=False)

    def forward(self, yx: Tensor) -> Tensor:
        """Places in patches from the image centre [..., 2] to codes [..., D]."""
        with torch.autocast(yx.device.type, enabled=False):
            return torch.sin(yx @ self.frequencies + self.phases)


class SuperpixelPatchPooling(nn.Module):
    """Picture to tokens: cut, SLIC, pool, embed, place."""

    def __init__(self, spec: LlaSpec) -> None:
        super().__init__()
        self.spec = spec
        self.superpixels = Superpixels(spec)
        self.stem: Stem = STEMS[spec.stem](spec)
        self.position = CentroidPosition(spec.width)
        self.cls = nn.Parameter(torch.zeros(1, 1, spec.width))
        nn.init.normal_(self.cls, std=0.02)

    def forward(self, image: Tensor) -> SuperpixelTokens:
        """uint8 or float [B, H, W, 3] RGB, 0..255."""
        pixels = pixel_values(image)
        patches = merge_squares(pixels, self.spec.patch_px)
        assignment = self.superpixels.assign(patches)
        values = self.stem.values(pixels, patches)
        pooled = self.superpixels.pool(values, assignment)
        # An empty superpixel stays zero, not the embedding's bias.
        embedded = self.stem(pooled.means) * pooled.occupied.unsqueeze(-1)
        places = self.position(pooled.centroids)
        # CLS sits at the image centre, where every place is measured from, and is never masked.
        cls = self.cls + self.position(torch.zeros_like(pooled.centroids[:, :1]))
        tokens = torch.cat([cls, embedded + places], dim=1)
        occupied = torch.cat([torch.ones_like(pooled.occupied[:, :1]), pooled.occupied], dim=1)
        mask = ((occupied - 1.0) * 1e4)[:, None, None, :]
        return SuperpixelTokens(tokens, mask, values, assignment, pooled)

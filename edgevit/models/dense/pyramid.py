"""Feature pyramid: every stage map in one width, each with what the coarser ones see.

    P_4 = L_4(C_4),   P_i = L_i(C_i) + upsampled(P_{i+1})

Source: "Feature Pyramid Networks for Object Detection", CVPR 2017, arXiv 1612.03144.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Pyramid(nn.Module):
    """Lateral 1x1 convolutions, and sums from the coarsest map to the finest."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps [B, C_i, H_i, W_i], finest first, to maps [B, width, H_i, W_i]."""
        levels = [lateral(each) for lateral, each in zip(self.laterals, maps, strict=True)]
        for finer in reversed(range(len(levels) - 1)):
            levels[finer] = levels[finer] + upsampled(levels[finer + 1], levels[finer])
        return levels


def upsampled(coarse: Tensor, like: Tensor) -> Tensor:
    """[B, C, h, w] at the size of another map, bilinear."""
    if coarse.shape[-2:] == like.shape[-2:]:
        return coarse
    return nn.functional.interpolate(coarse, like.shape[-2:], mode="bilinear", align_corners=False)

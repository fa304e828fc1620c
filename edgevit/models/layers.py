"""Small pieces that every family uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.spec import IMAGENET_MEAN, IMAGENET_STD

LAYER_NORM_EPS = 1e-6


def patch_rows(image: Tensor, patch_px: int) -> Tensor:
    """Cuts pictures into rows of raw pixels.

    Args:
        image: uint8 or float [B, H, W, 3], RGB, 0..255.

    Returns:
        float32 [B, N, P*P*3], still 0..255; a row runs over (y, x, channel).
    """
    batch, height, width, channels = image.shape
    strip = patch_px * channels  # one pixel row of a patch is contiguous: a 5-D transpose suffices
    grid = image.float().reshape(batch, height // patch_px, patch_px, width // patch_px, strip)
    return grid.transpose(2, 3).reshape(batch, -1, patch_px * strip)


class PatchEmbed(nn.Module):
    """Linear embedding of raw patch rows, normalisation folded in.

    The parameters act on normalised pixels, ``(x / 255 - mean) / std``, as in any checkpoint; the
    forward pass folds the normalisation into them, because both maps are affine:
    ``W((x s) + t) + b = (W s) x + (W t + b)``. At export the fold is a constant.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, patch_px: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(patch_px**2 * 3, width)
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        pixels = patch_px**2
        self.register_buffer("scale", (1 / (255 * std)).repeat(pixels), persistent=False)
        self.register_buffer("shift", (-mean / std).repeat(pixels), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Raw rows [..., P*P*3] (0..255) to tokens [..., D]."""
        weight = self.linear.weight * self.scale
        bias = self.linear.bias + self.linear.weight @ self.shift
        return nn.functional.linear(rows, weight, bias)


class Mlp(nn.Sequential):
    """Linear, GELU (exact, by erf), linear."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__(
            nn.Linear(width, width * ratio), nn.GELU(), nn.Linear(width * ratio, width)
        )


def layer_norm(width: int, affine: bool = True) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=LAYER_NORM_EPS, elementwise_affine=affine)


def split_heads(tokens: Tensor, batch: int, heads: int) -> Tensor:
    """[B*T, h*d] or [B, T, h*d] to [B, h, T, d]."""
    head_width = tokens.shape[-1] // heads
    return tokens.reshape(batch, -1, heads, head_width).transpose(1, 2)


def merge_heads(tokens: Tensor) -> Tensor:
    """[B, h, T, d] to rows [B*T, h*d].

    Rows of all images side by side (2-D) make every linear layer one Gemm with its bias.
    """
    batch, heads, count, head_width = tokens.shape
    return tokens.transpose(1, 2).reshape(batch * count, heads * head_width)


def init_linear(module: nn.Module) -> None:
    """Truncated normal (0.02) weights and zero biases, as in ViT and DeiT."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)

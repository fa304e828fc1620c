"""Small pieces that every family uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.zoo.spec import ModelSpec

LAYER_NORM_EPS = 1e-6


def pixel_values(image: Tensor) -> Tensor:
    """Pixels as float32 of 0..255, same shape.

    Args:
        image: uint8 or float. In a float picture NaN counts as black, and what lies outside of
            0..255 is cut off.
    """
    if image.is_floating_point():
        image = image.nan_to_num(nan=0.0, posinf=255.0, neginf=0.0).clamp(0.0, 255.0)
    return image.float()


def normalisation(spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """Scale and shift of every channel, [3]: a pixel x of 0..255 becomes scale x + shift."""
    mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
    return 1 / (255 * std), -mean / std


class NormalisedPlanes(nn.Module):
    """Normalised pixels for convolutions, as channels first.

    Normalised before a convolution and not in its weights: the border is padded with the mean
    pixel. And as planes: runtimes are many times slower at scaling rows of three channels.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        scale, shift = (numbers[:, None, None] for numbers in normalisation(spec))
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [B, H, W, 3], 0..255, to [B, 3, H, W]; memory keeps the picture's own order."""
        return pixels.permute(0, 3, 1, 2) * self.scale + self.shift


def patch_rows(image: Tensor, patch_px: int) -> Tensor:
    """Cuts pictures into rows of raw pixels.

    Args:
        image: [B, H, W, 3], RGB; see :func:`pixel_values`.

    Returns:
        float32 [B, N, P*P*3], still 0..255; a row runs over (y, x, channel).
    """
    return merge_squares(pixel_values(image), patch_px)


def merge_squares(grid: Tensor, side: int) -> Tensor:
    """Squares of a map as rows: [B, H, W, C] to [B, H/side * W/side, side*side*C].

    A row runs over (y, x, channel). With a linear map behind it, this is a convolution whose
    kernel is its stride.
    """
    batch, height, width, channels = grid.shape
    strip = side * channels  # one row of a square is contiguous: a 5-D transpose suffices
    strips = grid.reshape(batch, height // side, side, width // side, strip)
    return strips.transpose(2, 3).reshape(batch, -1, side * strip)


class PatchEmbed(nn.Module):
    """Linear embedding of raw patch rows, normalisation folded in.

    The parameters act on normalised pixels z = s x + t (x in 0..255), as in any checkpoint, and
    with ``moments=2`` on their squares beside them. Normalising is affine in x and in (x, x^2),
        W1 z + W2 z^2 + b = (W1 s + 2 W2 s t) x + (W2 s^2) x^2 + (b + W1 t + W2 t^2),
    so the forward pass folds it into the weights, and embedding a mean of raw rows is the mean of
    their embeddings. At export the fold is a constant.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, spec: ModelSpec, pixels: int, width: int, moments: int = 1) -> None:
        super().__init__()
        self.moments = moments
        self.linear = nn.Linear(pixels * 3 * moments, width)
        scale, shift = normalisation(spec)
        self.register_buffer("scale", scale.repeat(pixels), persistent=False)
        self.register_buffer("shift", shift.repeat(pixels), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Raw rows [..., moments * pixels * 3], x before x^2, to tokens [..., D]."""
        return nn.functional.linear(rows, *self._folded())

    def _folded(self) -> tuple[Tensor, Tensor]:
        weight: Tensor = self.linear.weight
        bias: Tensor = self.linear.bias
        if self.moments == 1:
            return weight * self.scale, bias + weight @ self.shift
        first, second = weight.chunk(2, dim=1)
        of_x = (first + 2 * second * self.shift) * self.scale
        of_square = second * self.scale.square()
        bias = bias + first @ self.shift + second @ self.shift.square()
        return torch.cat([of_x, of_square], dim=1), bias


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

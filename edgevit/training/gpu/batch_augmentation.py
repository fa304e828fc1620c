"""Augmentation of whole batches on the device: one affine map a picture, colours, holes, mixes.

The counterpart of :mod:`edgevit.training.augmentation.augment`, which works picture by picture on
CPUs. Crop, mirror, rotation and shear are one bilinear sampling, at twice the size and averaged
where the stored pictures are larger than the model's, so that fine stripes do not alias. Nothing
here waits for the device or depends on numbers of the host, so that a step can be recorded once
and replayed (:mod:`edgevit.training.gpu.recorded`).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgevit.training.recipe import ERASED_AREA, ERASED_ASPECT, Recipe

_MAX_TURN = math.radians(20)
_MAX_SHEAR = 0.2
_COLOUR = 0.8  # factors of brightness, contrast and saturation at strength 1: 1 - this to 1 + this
MIX_NUMBERS = 6  # that say how a batch is mixed
_LUMA = (0.299, 0.587, 0.114)


class Augmentation:
    """Draws every picture's numbers on the device, and those of whole batches with numpy."""

    def __init__(self, recipe: Recipe, size_px: int, device: str, seed: tuple[int, ...]) -> None:
        self.recipe, self.size_px = recipe, size_px
        self.generator = torch.Generator(device)
        self.luma = torch.tensor(_LUMA, device=device)[:, None, None]
        self.places = torch.arange(size_px, device=device) + 0.5
        self.seed(seed)

    def seed(self, seed: tuple[int, ...]) -> None:
        """Starts again: the same seed, the same views."""
        self.host = np.random.default_rng(seed)
        self.generator.manual_seed(int(self.host.integers(2**62)))

    def __call__(
        self, images: Tensor, targets: Tensor, mix: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """uint8 [B, S, S, 3] and targets [B, classes] to float32 [B, size, size, 3] and targets.

        Args:
            mix: one row of :meth:`mixes`; None leaves the batch as it is.
        """
        seen = self.sampled(images)
        if self.recipe.random_ops:
            seen = self.coloured(seen)
        if self.recipe.erase:
            seen = self.erased(seen)
        if mix is not None:
            seen, targets = self.mixed(seen, targets, mix)
        return seen.permute(0, 2, 3, 1).contiguous(), targets

    def sampled(self, images: Tensor) -> Tensor:
        """Crop, mirror, turn and shear: float32 [B, 3, size, size], 0..255."""
        batch, side = images.shape[0], images.shape[1]
        finer = 2 if side > self.size_px else 1
        shape = [batch, 3, finer * self.size_px, finer * self.size_px]
        grid = functional.affine_grid(self._maps(batch, images.device), shape, align_corners=False)
        planes = images.permute(0, 3, 1, 2).float()
        seen = functional.grid_sample(
            planes, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        return functional.avg_pool2d(seen, finer) if finer > 1 else seen

    def _maps(self, batch: int, device: torch.device) -> Tensor:
        """[B, 2, 3]: from places in a view to places in the picture, both -1..1."""
        area = self._uniform(batch, *self.recipe.crop_area)
        stretch = self._uniform(batch, *map(math.log, self.recipe.crop_aspect)).mul(0.5).exp()
        width = (area.sqrt() * stretch).clamp(max=1.0)
        height = (area.sqrt() / stretch).clamp(max=1.0)
        x = self._uniform(batch, -1, 1) * (1 - width)
        y = self._uniform(batch, -1, 1) * (1 - height)
        mirror = torch.where(self._uniform(batch, 0, 1) < 0.5, -1.0, 1.0)
        turned = self._turned(batch, device)
        scale = torch.stack([width * mirror, height], dim=1)
        linear = scale[:, :, None] * turned
        return torch.cat([linear, torch.stack([x, y], dim=1)[:, :, None]], dim=2)

    def _turned(self, batch: int, device: torch.device) -> Tensor:
        """[B, 2, 2]: half of the pictures are turned and sheared, by up to the strength."""
        strength = self.recipe.random_strength if self.recipe.random_ops else 0.0
        chosen = (self._uniform(batch, 0, 1) < 0.5) * strength
        angle = self._uniform(batch, -_MAX_TURN, _MAX_TURN) * chosen
        shear = self._uniform(batch, -_MAX_SHEAR, _MAX_SHEAR) * chosen
        cos, sin = angle.cos(), angle.sin()
        turn = torch.stack([cos, -sin, sin, cos], dim=1).reshape(batch, 2, 2)
        sheared = torch.eye(2, device=device).repeat(batch, 1, 1)
        sheared[:, 0, 1] = shear
        return turn @ sheared

    def coloured(self, seen: Tensor) -> Tensor:
        """Brightness, contrast and saturation, each by a factor of its own; [B, 3, H, W]."""
        reach = _COLOUR * self.recipe.random_strength
        bright, contrast, colour = (
            self._uniform(len(seen), 1 - reach, 1 + reach)[:, None, None, None] for _ in range(3)
        )
        luma = (seen * self.luma).sum(1, keepdim=True)
        mean = luma.mean((2, 3), keepdim=True)
        seen = luma + (seen - luma) * colour
        return ((mean + (seen - mean) * contrast) * bright).clamp(0, 255)

    def erased(self, seen: Tensor) -> Tensor:
        """A rectangle of one random colour in some of the pictures; [B, 3, H, W]."""
        batch, size = len(seen), self.size_px
        area = self._uniform(batch, *ERASED_AREA) * size**2
        stretch = self._uniform(batch, *map(math.log, ERASED_ASPECT)).mul(0.5).exp()
        half_w, half_h = area.sqrt() * stretch / 2, area.sqrt() / stretch / 2
        hole = self._holes(half_w, half_h)
        chosen = self._uniform(batch, 0, 1) < self.recipe.erase
        colour = self._uniform(batch * 3, 0, 255).reshape(batch, 3, 1, 1)
        return torch.where((hole & chosen[:, None, None])[:, None], colour, seen)

    def mixes(self, count: int) -> Tensor:
        """How so many batches are mixed, on the device, float32 [count, MIX_NUMBERS].

        Half of those that are mixed are blended (mixup), half have a rectangle pasted (cutmix). A
        row is what is kept of each picture outside of the rectangle, the rectangle's first and
        last rows and columns (the last not included), and the share kept of the targets.
        """
        rows = np.array([self._mix() for _ in range(count)], np.float32)
        return torch.from_numpy(rows).to(self.generator.device)

    def _mix(self) -> tuple[float, ...]:
        if self.host.random() >= self.recipe.mix:
            return (1.0, 0, 0, 0, 0, 1.0)
        if self.host.random() < 0.5:
            kept = self.host.beta(self.recipe.mixup_alpha, self.recipe.mixup_alpha)
            return (kept, 0, 0, 0, 0, kept)
        kept = self.host.beta(self.recipe.cutmix_alpha, self.recipe.cutmix_alpha)
        half = math.sqrt(1 - kept) * self.size_px / 2
        middles = self.host.random(2) * self.size_px
        first, last = np.clip(np.rint([middles - half, middles + half]), 0, self.size_px)
        share = 1 - np.prod(last - first) / self.size_px**2
        return (1.0, first[0], last[0], first[1], last[1], share)

    def mixed(self, seen: Tensor, targets: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
        """Every picture [B, 3, H, W] with the one before it, as a row of :meth:`mixes` says."""
        kept, top, bottom, left, right, share = mix.unbind()
        down = (self.places > top) & (self.places < bottom)
        across = (self.places > left) & (self.places < right)
        weight = torch.where(down[:, None] & across, 0.0, kept)
        partner = seen.roll(1, 0)
        return torch.lerp(partner, seen, weight), torch.lerp(targets.roll(1, 0), targets, share)

    def _holes(self, half_w: Tensor, half_h: Tensor) -> Tensor:
        """bool [B, H, W], true inside a rectangle about a random place, cut at the border."""
        batch, size = len(half_w), self.size_px
        x, y = (self._uniform(batch, 0, size)[:, None] for _ in range(2))
        across = (self.places - x).abs() < half_w[:, None]
        down = (self.places - y).abs() < half_h[:, None]
        return down[:, :, None] & across[:, None, :]

    def _uniform(self, count: int, low: float, high: float) -> Tensor:
        device = self.generator.device
        drawn = torch.rand(count, generator=self.generator, device=device)
        return low + (high - low) * drawn

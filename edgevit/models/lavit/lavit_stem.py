"""Stems of a LaViT: how the picture becomes the tokens of the first stage.

- ``patch``: one linear map of every patch, as in the paper.
- ``convolution``: 3x3 convolutions of stride 2, overlapping, until a token is as many pixels wide
  as a patch. Few images suffice then. Source: "Early Convolutions Help Transformers See Better",
  NeurIPS 2021, arXiv 2106.14881.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from edgevit.models.layers import NormalisedPlanes, PatchEmbed, patch_rows, pixel_values
from edgevit.zoo.spec import LavitSpec, convolution_widths


class PatchStem(nn.Module):
    """Cuts, normalises and embeds patches that do not overlap."""

    def __init__(self, spec: LavitSpec) -> None:
        super().__init__()
        stage = spec.stages[0]
        self.patch_px = stage.patch
        self.embed = PatchEmbed(spec, stage.patch**2, stage.width)

    def forward(self, image: Tensor) -> Tensor:
        """[B, H, W, 3], 0..255, to tokens [B*N, D]."""
        tokens: Tensor = self.embed(patch_rows(image, self.patch_px).flatten(0, 1))
        return tokens


class ConvolutionStem(nn.Module):
    """Halves the picture until a token is a patch wide; GELU in between."""

    def __init__(self, spec: LavitSpec) -> None:
        super().__init__()
        widths = [3, *convolution_widths(spec.stages[0])]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GELU()]
        self.halvings = nn.Sequential(*layers[:-1])
        self.normalise = NormalisedPlanes(spec)

    def forward(self, image: Tensor) -> Tensor:
        """[B, H, W, 3], 0..255, to tokens [B*N, D]."""
        seen = self.halvings(self.normalise(pixel_values(image)))
        tokens: Tensor = seen.permute(0, 2, 3, 1).reshape(-1, seen.shape[1])
        return tokens


LAVIT_STEMS: dict[str, type[PatchStem] | type[ConvolutionStem]] = {
    "patch": PatchStem,
    "convolution": ConvolutionStem,
}

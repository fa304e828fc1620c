"""Semantic FPN: a class for every pixel, from the four stage maps of a LaViT.

Every level of the pyramid is filtered by a 3x3 convolution and brought to the finest level's size;
the sum of all is classified place by place and enlarged to the picture. The mask is the likeliest
class of every pixel, in the graph.

Source: "Panoptic Feature Pyramid Networks", CVPR 2019, arXiv 1901.02446, section 3 (its levels are
upsampled in steps of two, each with a convolution; ours in one, which is a third of the work).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.models.classifier import ZooModule
from edgevit.models.convolutions import ConvolutionNorm
from edgevit.models.dense.pyramid import Pyramid, upsampled
from edgevit.models.lavit.lavit import SCORES_PREFIX, LavitBackbone
from edgevit.zoo.dense_spec import LavitSegmenterSpec
from edgevit.zoo.tasks import MASK

CLASS_MAP = "class_map"  # logits of every class and place, [B, classes, H / 4, W / 4]
BACKBONE = "backbone."


def mask_of(class_map: Tensor, image_px: int) -> Tensor:
    """Logits of places [B, classes, h, w] to the likeliest class of every pixel.

    uint8 [B, image_px, image_px]; of equals, the lowest class.
    """
    pixels = enlarged(class_map, image_px)
    return pixels.argmax(dim=1).to(torch.uint8)


def enlarged(class_map: Tensor, image_px: int) -> Tensor:
    """Logits of places to logits of pixels, [B, classes, image_px, image_px], bilinear."""
    return nn.functional.interpolate(
        class_map, (image_px, image_px), mode="bilinear", align_corners=False
    )


class LavitSegmenter(ZooModule):
    """Backbone, pyramid, head."""

    def __init__(self, spec: LavitSegmenterSpec) -> None:
        super().__init__()
        self.spec: LavitSegmenterSpec = spec
        channels = spec.backbone.feature_maps
        self.backbone = LavitBackbone(spec.backbone)
        self.pyramid = Pyramid(tuple(channels.values()), spec.width)
        self.filters = nn.ModuleList(
            nn.Sequential(ConvolutionNorm(spec.width, spec.width, 3), nn.ReLU()) for _ in channels
        )
        self.dropout = nn.Dropout2d(0.1)
        self.head = nn.Conv2d(spec.width, spec.classes, 1)

    def source_key(self, key: str) -> str:
        """The backbone's weights are called in a classifier as they are without a prefix."""
        return key.removeprefix(BACKBONE)

    def steps(self, image: Tensor) -> dict[str, Tensor]:
        """The mask, the class map that it is read off, and what the stages give."""
        seen = self.backbone.maps(image)
        levels = self.pyramid([seen[name] for name in self.spec.backbone.feature_maps])
        filtered = [each(level) for each, level in zip(self.filters, levels, strict=True)]
        merged = filtered[0]
        for level in filtered[1:]:
            merged = merged + upsampled(level, merged)
        class_map = self.head(self.dropout(merged))
        scores = {name: step for name, step in seen.items() if name.startswith(SCORES_PREFIX)}
        return {MASK: mask_of(class_map, self.spec.image_px), CLASS_MAP: class_map, **scores}

    def forward(self, image: Tensor) -> Tensor:
        """Picture, as in :meth:`steps`, to the mask, uint8 [B, H, W]."""
        return self.steps(image)[MASK]

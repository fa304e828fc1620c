"""A class for every superpixel: few tokens, and outlines as fine as the superpixels' own.

    picture -> SLIC and trunk -> K tokens -> layers of LLA (writeback) -> K classes -> mask

The mask is the superpixel map with every number replaced by its superpixel's class: a quarter of
the picture's resolution for cells of 4 pixels, whatever the stride of the trunk.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevit.models.classifier import ZooModule
from edgevit.models.dense.segmenter import CLASS_MAP
from edgevit.models.layers import init_linear, layer_norm
from edgevit.models.superpixel.lla_writeback import WritebackBlock
from edgevit.models.superpixel.sppp import SuperpixelPatchPooling
from edgevit.zoo.dense_spec import LlaSegmenterSpec
from edgevit.zoo.interface.tensors import ASSIGNMENT, SUPERPIXEL_MAP
from edgevit.zoo.tasks import MASK


class SuperpixelSegmenter(ZooModule):
    """SPPP tokens, layers of LLA among them, a linear head on each."""

    least_share = 0.05  # only the first layers of a classifier's trunk are the same

    def __init__(self, spec: LlaSegmenterSpec) -> None:
        super().__init__()
        self.spec: LlaSegmenterSpec = spec
        self.tokens = SuperpixelPatchPooling(spec)
        blocks = [WritebackBlock(spec) for _ in range(spec.depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = layer_norm(spec.width)
        self.head = nn.Linear(spec.width, spec.classes)
        self.apply(init_linear)
        self.tokens.stem.reset_parameters()
        for block in blocks:
            nn.init.normal_(block.latents, std=0.02)

    def taps(self, image: Tensor) -> dict[str, Tensor]:
        """The steps and, where there are superpixels, their map."""
        steps = self.steps(image)
        if not self.spec.has_superpixels:
            return steps
        return {**steps, SUPERPIXEL_MAP: self.tokens.superpixels.label_map(steps[ASSIGNMENT])}

    def steps(self, image: Tensor) -> dict[str, Tensor]:
        """The mask, the class map, the logits of every superpixel, and the superpixels."""
        sppp = self.tokens(image)
        batch, count, width = sppp.tokens.shape
        rows = sppp.tokens.reshape(-1, width)
        for block in self.blocks:
            rows = block(rows, sppp.mask)
        # The first token is CLS: it has seen the picture, and no pixel is its own.
        of_superpixels = self.norm(rows).reshape(batch, count, width)[:, 1:]
        logits = self.head(of_superpixels)
        labels = self.tokens.superpixels.label_map(sppp.assignment)
        steps = {
            MASK: self._mask(logits, labels),
            CLASS_MAP: _painted(logits.transpose(1, 2), labels),
            "tokens": sppp.tokens,
        }
        if self.spec.has_superpixels:
            steps |= {ASSIGNMENT: sppp.assignment, "membership": sppp.pooled.membership}
        return steps

    def _mask(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits [B, K, classes] and labels [B, rows, columns] to the mask of every pixel."""
        answers = logits.argmax(dim=2, keepdim=True).transpose(1, 2)
        cells = _painted(answers.float(), labels)
        size = (self.spec.image_px, self.spec.image_px)
        pixels = nn.functional.interpolate(cells, size, mode="nearest")
        return pixels[:, 0].to(torch.uint8)

    def forward(self, image: Tensor) -> Tensor:
        """Picture, as in :meth:`steps`, to the mask, uint8 [B, H, W]."""
        return self.steps(image)[MASK]


def _painted(values: Tensor, labels: Tensor) -> Tensor:
    """Values of superpixels [B, C, K] over their cells, [B, C, rows, columns]."""
    batch, rows, columns = labels.shape
    places = labels.reshape(batch, 1, rows * columns).long().expand(-1, values.shape[1], -1)
    return values.gather(2, places).reshape(batch, -1, rows, columns)

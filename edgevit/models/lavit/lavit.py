"""LaViT: four stages, each computing attention in a few layers and reusing it in the others.

Source: "You Only Need Less Attention at Each Stage", CVPR 2024, arXiv 2406.00427; reconstructed,
the configuration is ours. It is a backbone too: ``stage_1`` to ``stage_4`` are its feature maps.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from edgevit.models.classifier import Classifier
from edgevit.models.lavit.attention_residual import RESIDUALS
from edgevit.models.lavit.lavit_stem import LAVIT_STEMS
from edgevit.models.lavit.less_attention import LavitBlock, LessAttention, VanillaAttention
from edgevit.models.lavit.local_perception import LocalPerception
from edgevit.models.layers import init_linear, layer_norm, merge_squares
from edgevit.zoo.interface.tensors import LOGITS, SUMMARY
from edgevit.zoo.spec import LavitSpec, stage_map

SCORES_PREFIX = "scores_"


class LavitStage(nn.Module):
    """Position, vanilla-attention layers, less-attention layers."""

    def __init__(self, spec: LavitSpec, index: int) -> None:
        super().__init__()
        stage, side = spec.stages[index], spec.sides[index]
        self.side, self.vanilla = side, stage.vanilla
        self.norm_embedded = layer_norm(stage.width)
        self.position = nn.Parameter(torch.randn(side**2, stage.width) * 0.02)
        takes_residual = spec.carries_attention_into(index)
        self.residual = None
        if takes_residual:
            before = spec.stages[index - 1]
            downsampling = RESIDUALS[spec.residual]
            self.residual = downsampling(
                before.heads, stage.heads, spec.sides[index - 1], stage.patch
            )
        attentions = [VanillaAttention(stage, side, takes_residual) for _ in range(stage.vanilla)]
        reused = [LessAttention(stage, side**2, spec.transform_rank) for _ in range(stage.less)]
        self.blocks = nn.ModuleList(
            LavitBlock(
                attention,
                stage.width,
                spec.mlp_ratio,
                LocalPerception(stage.width, side) if spec.local_perception else None,
            )
            for attention in attentions + reused
        )

    def forward(
        self, embedded: Tensor, batch: int, scores_before: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """embedded [B*N, D]; scores_before [B, h, N', N'] of the stage before, or None.

        Returns:
            (tokens [B*N, D], the scores of every layer).
        """
        placed = self.norm_embedded(embedded).reshape(batch, self.side**2, -1) + self.position
        tokens = placed.reshape(embedded.shape)
        residual = None
        if self.residual is not None and scores_before is not None:
            residual = self.residual(scores_before)
        scores: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            carried = residual if number < self.vanilla else scores[-1]
            tokens, own = block(tokens, batch, carried)
            scores.append(own)
        return tokens, scores


class LavitBackbone(nn.Module):
    """The stages without what reads them: pictures in, maps out."""

    def __init__(self, spec: LavitSpec) -> None:
        super().__init__()
        self.spec: LavitSpec = spec
        stages = spec.stages
        self.stem = LAVIT_STEMS[spec.stem](spec)
        self.merges = nn.ModuleList(
            nn.Linear(before.width * stage.patch**2, stage.width)
            for before, stage in pairwise(stages)
        )
        self.stages = nn.ModuleList(LavitStage(spec, index) for index in range(len(stages)))
        self.apply(init_linear)

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """Picture, uint8 or float [B, H, W, 3], to what every stage gives:

        - ``stage_1`` ... [B, D, H, W]: its feature map, for a detection or segmentation head;
        - ``scores_STAGE_LAYER`` [B, h, N, N]: the scores, before softmax, of every LA layer.
        """
        batch = image.shape[0]
        tokens, scores = self.stages[0](self.stem(image), batch, None)
        steps = self._of_stage(0, tokens, scores)
        for index in range(1, len(self.stages)):
            grid = steps[stage_map(index)].permute(0, 2, 3, 1)
            merged = merge_squares(grid, self.spec.stages[index].patch)
            embedded = self.merges[index - 1](merged.flatten(0, 1))
            tokens, scores = self.stages[index](embedded, batch, scores[-1])
            steps |= self._of_stage(index, tokens, scores)
        return steps

    def _of_stage(self, index: int, tokens: Tensor, scores: list[Tensor]) -> dict[str, Tensor]:
        side, vanilla = self.spec.sides[index], self.spec.stages[index].vanilla
        grid = tokens.reshape(-1, side, side, tokens.shape[-1])
        transformed = {
            f"{SCORES_PREFIX}{index + 1}_{layer}": own
            for layer, own in enumerate(scores[vanilla:], vanilla + 1)
        }
        return {stage_map(index + 1): grid.permute(0, 3, 1, 2), **transformed}


class LavitClassifier(LavitBackbone, Classifier):
    """Stages, a norm, the mean of the last tokens, a linear head."""

    def __init__(self, spec: LavitSpec) -> None:
        super().__init__(spec)
        self.spec: LavitSpec = spec
        width = spec.stages[-1].width
        self.norm = layer_norm(width)
        self.head = nn.Linear(width, spec.classes)
        init_linear(self.head)

    def steps(self, image: Tensor) -> dict[str, Tensor]:
        """The logits, the summary, and what the stages give (:meth:`LavitBackbone.maps`)."""
        maps = self.maps(image)
        last = maps[stage_map(len(self.stages))].flatten(2).transpose(1, 2)
        summary = self.norm(last).mean(dim=1)
        return {LOGITS: self.head(summary), SUMMARY: summary, **maps}

"""An anchor-free one-stage detector on the maps of a backbone.

A feature pyramid over three maps (strides 8, 16 and 32 of LaViT), and on each of its places the
scores of the classes and the distances to the four sides of a box, as in FCOS (arXiv 1904.01355).
One head serves all levels. There is no branch for centredness: scores learn to be the overlap of
their box, as in generalized focal loss (arXiv 2006.04388). Decoding and non-maximum suppression
are part of the graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgevit.models.classifier import ZooModule
from edgevit.models.convolutions import ConvolutionNorm
from edgevit.models.dense.box_geometry import suppress
from edgevit.models.dense.pyramid import Pyramid
from edgevit.models.lavit.lavit import SCORES_PREFIX, LavitBackbone
from edgevit.zoo.detector_spec import LavitDetectorSpec
from edgevit.zoo.tasks import BOXES, OBJECT_CLASSES, SCORES

_RARE = 0.01  # what scores begin at, so that the many empty places do not drown the few others
_FIRST_REACH = 2.5  # distances begin at so many strides

BACKBONE = "backbone."
CLASS_LOGITS = "class_logits"  # of every place, [B, P, classes]
PLACE_BOXES = "place_boxes"  # of every place, [B, P, 4], before any is left out


class DetectionHead(nn.Module):
    """Class scores and box sides for every place of every level; one head for all levels."""

    def __init__(self, width: int, classes: int, levels: int) -> None:
        super().__init__()
        self.smooth = nn.ModuleList(_filter(width) for _ in range(levels))
        self.class_tower = _filter(width)
        self.side_tower = _filter(width)
        self.classify = nn.Conv2d(width, classes, 3, padding=1)
        self.sides = nn.Conv2d(width, 4, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(levels))
        nn.init.normal_(self.classify.weight, std=0.01)
        self.classify.bias = _constant(classes, -math.log((1 - _RARE) / _RARE))
        nn.init.normal_(self.sides.weight, std=0.01)
        self.sides.bias = _constant(4, math.log(math.expm1(_FIRST_REACH)))

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps [B, width, H_l, W_l] to (logits [B, P, classes], distances [B, P, 4]).

        P runs over the places of all levels; distances are in strides, positive.
        """
        logits, distances = [], []
        for scale, smooth, summed in zip(self.scale, self.smooth, levels, strict=True):
            level = smooth(summed)
            found = self.classify(self.class_tower(level))
            sides = self.sides(self.side_tower(level)) * scale
            logits.append(found.flatten(2).transpose(1, 2))
            distances.append(nn.functional.softplus(sides).flatten(2).transpose(1, 2))
        return torch.cat(logits, dim=1), torch.cat(distances, dim=1)


def _filter(width: int) -> nn.Sequential:
    return nn.Sequential(ConvolutionNorm(width, width, 3), nn.ReLU())


def places(image_px: int, strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(centres [P, 2] as (x, y) in pixels, strides [P, 1]) of a square picture, level by level."""
    centres, of_place = [], []
    for stride in strides:
        side = image_px // stride
        line = (torch.arange(side, dtype=torch.float32) + 0.5) * stride
        y, x = torch.meshgrid(line, line, indexing="ij")
        centres.append(torch.stack([x, y], dim=-1).reshape(-1, 2))
        of_place.append(torch.full((side**2, 1), float(stride)))
    return torch.cat(centres), torch.cat(of_place)


def _constant(count: int, value: float) -> nn.Parameter:
    return nn.Parameter(torch.full((count,), value))


class Decode(nn.Module):
    """From distances to boxes inside the picture."""

    centres: Tensor
    strides: Tensor

    def __init__(self, image_px: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.image_px = image_px
        centres, of_place = places(image_px, strides)
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("strides", of_place, persistent=False)

    def forward(self, distances: Tensor) -> Tensor:
        """[B, P, 4] in strides, left, top, right, bottom, to boxes [B, P, 4] in pixels."""
        reach = distances * self.strides
        low, high = self.centres - reach[..., :2], self.centres + reach[..., 2:]
        return torch.cat([low, high], dim=-1)


def select(boxes: Tensor, logits: Tensor, spec: LavitDetectorSpec) -> tuple[Tensor, Tensor, Tensor]:
    """The best boxes of every picture, without duplicates, best first.

    Args:
        boxes: [B, P, 4]. logits: [B, P, classes].
        spec: how many of the P places take part, how many detections there are, and above which
            IoU two are the same.

    Returns:
        (boxes float32 [B, detections, 4], scores float32 [B, detections], classes int64 [B,
        detections]). Rows beyond what was found have score 0, class 0 and a box of zeros.
    """
    best, best_class = logits.max(dim=-1)
    score, place = best.topk(min(spec.candidates, best.shape[1]), dim=1)
    score = score.sigmoid()
    boxes = boxes.gather(1, place[..., None].expand(-1, -1, 4))
    classes = best_class.gather(1, place)
    score = score * suppress(boxes, classes, spec.overlap_limit, spec.suppression_rounds)
    score, row = score.topk(min(spec.detections, score.shape[1]), dim=1)
    found = (score > 0).to(boxes.dtype)
    boxes = boxes.gather(1, row[..., None].expand(-1, -1, 4)) * found[..., None]
    return boxes, score, classes.gather(1, row) * found.long()


class LavitDetector(ZooModule):
    """Backbone, pyramid, head, decoding, suppression."""

    def __init__(self, spec: LavitDetectorSpec) -> None:
        super().__init__()
        self.spec: LavitDetectorSpec = spec
        channels = spec.level_channels
        self.backbone = LavitBackbone(spec.backbone)
        self.pyramid = Pyramid(tuple(channels.values()), spec.width)
        self.head = DetectionHead(spec.width, spec.classes, len(channels))
        self.decode = Decode(spec.image_px, spec.level_strides)

    def source_key(self, key: str) -> str:
        """The backbone's weights are called in a classifier as they are without a prefix."""
        return key.removeprefix(BACKBONE)

    def dense(self, image: Tensor) -> dict[str, Tensor]:
        """What training compares with the truth: scores and boxes of every place, LA scores.

        ``class_logits`` [B, P, classes] and ``place_boxes`` [B, P, 4] in pixels, finest level
        first.
        """
        seen = self.backbone.maps(image)
        levels = self.pyramid([seen[name] for name in self.spec.level_channels])
        logits, distances = self.head(levels)
        scores = {name: step for name, step in seen.items() if name.startswith(SCORES_PREFIX)}
        return {CLASS_LOGITS: logits, PLACE_BOXES: self.decode(distances), **scores}

    def steps(self, image: Tensor) -> dict[str, Tensor]:
        """Boxes, scores and classes (:data:`edgevit.zoo.tasks.TASK_OUTPUTS`), and :meth:`dense`."""
        steps = self.dense(image)
        boxes, scores, classes = select(steps[PLACE_BOXES], steps[CLASS_LOGITS], self.spec)
        return {BOXES: boxes, SCORES: scores, OBJECT_CLASSES: classes, **steps}

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Picture, as in :meth:`steps`, to (boxes, scores, classes)."""
        steps = self.steps(image)
        return steps[BOXES], steps[SCORES], steps[OBJECT_CLASSES]

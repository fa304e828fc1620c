"""Parameters and multiply-accumulates of a torch module, by torch's own counter."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from edgevit.models.build import build
from edgevit.models.classifier import ZooModule
from edgevit.models.superpixel.superpixels import Superpixels
from edgevit.zoo.sizes import ModelSize
from edgevit.zoo.spec import ModelSpec


def count(module: ZooModule) -> ModelSize:
    """Runs a module on one empty picture, float32 on the CPU."""
    size_px = module.spec.image_px
    picture = torch.zeros((1, size_px, size_px, 3), dtype=torch.uint8)
    pools = (part for part in module.modules() if isinstance(part, Superpixels))
    slic = (part for part in pools if part.spec.has_superpixels)
    return ModelSize(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        macs=count_macs(module.eval(), picture),
        superpixel_macs=sum(count_macs(part.slic, _patches(part)) for part in slic),
    )


def count_spec(spec: ModelSpec) -> ModelSize:
    """Of the module that a spec describes, its weights left as the memory was: a moment."""
    with torch.device("meta"):
        module = build(spec)
    return count(module.to_empty(device="cpu"))


def count_macs(function: Callable[[Tensor], object], example: Tensor) -> int:
    """Multiply-accumulates of a call: two operations each, a product and a sum that takes it in."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        function(example)
    return int(counter.get_total_flops()) // 2


def _patches(superpixels: Superpixels) -> Tensor:
    """float32 [1, N, P*P*3]."""
    return torch.zeros((1, superpixels.spec.patches, superpixels.spec.patch_values))

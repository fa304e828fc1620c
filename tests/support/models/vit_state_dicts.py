"""Weights of a plain ViT by the names that timm writes, and random ones of transformers.

timm needs torchvision, which must match the build of torch; its names are recorded here from its
documentation and source, ``timm/models/vision_transformer.py`` and ``deit.py`` (version 1.0), and
its weights are computed from a module of ours, the other way round than edgevit reads them.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from edgevit.models.classifier import Classifier
from edgevit.zoo.spec import VitSpec

Module = TypeVar("Module", bound=torch.nn.Module)

# Ours to timm's, of what is in every block, and of what is once in a model.
TIMM_BLOCK = {
    "norm_attention": "norm1",
    "query_key_value": "attn.qkv",
    "output": "attn.proj",
    "norm_mlp": "norm2",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
}
# vit_tiny_patch16_224(num_classes=...).state_dict(), by its order, with one block.
TIMM_KEYS = [
    "cls_token",
    "pos_embed",
    "patch_embed.proj.weight",
    "patch_embed.proj.bias",
    "blocks.0.norm1.weight",
    "blocks.0.norm1.bias",
    "blocks.0.attn.qkv.weight",
    "blocks.0.attn.qkv.bias",
    "blocks.0.attn.proj.weight",
    "blocks.0.attn.proj.bias",
    "blocks.0.norm2.weight",
    "blocks.0.norm2.bias",
    "blocks.0.mlp.fc1.weight",
    "blocks.0.mlp.fc1.bias",
    "blocks.0.mlp.fc2.weight",
    "blocks.0.mlp.fc2.bias",
    "norm.weight",
    "norm.bias",
    "head.weight",
    "head.bias",
]
# What deit_tiny_distilled_patch16_224 has besides, and deit3_* (LayerScale).
TIMM_DISTILLED_KEYS = ["dist_token", "head_dist.weight", "head_dist.bias"]
TIMM_LAYER_SCALE_KEYS = ["blocks.0.ls1.gamma", "blocks.0.ls2.gamma"]


def as_timm(module: Classifier) -> dict[str, Tensor]:
    """The state dict that timm has for the same plain ViT."""
    spec = module.spec
    assert isinstance(spec, VitSpec)
    named = {}
    for key, tensor in module.state_dict().items():
        value = tensor.clone()
        if key == "embed.linear.weight":
            side = spec.patch_px
            value = value.reshape(spec.width, side, side, 3).permute(0, 3, 1, 2).contiguous()
        named[_timm_key(key)] = value
    return named


def _timm_key(key: str) -> str:
    whole = {"cls": "cls_token", "position": "pos_embed"}
    if key in whole:
        return whole[key]
    stem, _, kind = key.rpartition(".")
    if stem == "embed.linear":
        stem = "patch_embed.proj"
    elif stem.startswith("blocks."):
        _, block, inner = stem.split(".", 2)
        stem = f"blocks.{block}.{TIMM_BLOCK[inner]}"
    return f"{stem}.{kind}"


def randomised(module: Module, seed: int = 0) -> Module:
    """Weights that are all of a size that matters: zero biases and unit gains hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            scale = 0.3 if parameter.ndim == 1 or "token" in name or "pos" in name else 0.06
            parameter.add_(noise * scale)
    return module.eval()

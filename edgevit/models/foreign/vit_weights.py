"""A plain ViT's weights from another library: named, shaped and ordered as the zoo's.

- The convolution over patches [D, 3, P, P] becomes a linear map of rows (y, x, channel).
- Query, key and value become one map, without a bias: one of zeros.
- LayerScale, y = g * (W x + b), is (g W) x + g b: it goes into W and b.
- Positions without places for the leading tokens (``no_embed_class``) get zeros there.
- DeiT's two heads are averaged: W1 a / 2 + W2 b / 2 is one map of (a, b), with b W2 = 0 where a
  library answers by the class token alone, as transformers' DeiTForImageClassification does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from edgevit.common.errors import CheckpointError, some_of
from edgevit.models.checkpoint import Checkpoint
from edgevit.models.foreign.vit_names import NamedBy, naming_of, peculiarity
from edgevit.zoo.registry import MODELS
from edgevit.zoo.spec import ModelSpec, VitSpec

_ROLES = ("query", "key", "value")
_ANY_NETWORK = (
    "Another network is exported as a torch module, edgevit.export(module, example=...), or as an "
    "ONNX file: edgevit import FILE."
)


def translated(
    spec: ModelSpec, checkpoint: Checkpoint, source: str
) -> tuple[ModelSpec, Checkpoint]:
    """The checkpoint in the zoo's names, and the model as those weights need it.

    A checkpoint that has the zoo's names, or nobody's, stays as it is. With a distillation token
    the model becomes a distilled one.

    Raises:
        CheckpointError: a ViT that the zoo's cannot be, with the reason; or of another size.
    """
    naming = naming_of(checkpoint.tensors)
    if naming is None:
        return spec, checkpoint
    if not isinstance(spec, VitSpec):
        raise CheckpointError(
            f"{source} holds the weights of a plain ViT, named as in {naming.library}; "
            f"{spec.name} is of the family {spec.family}. Use --model vit_tiny or vit_small."
        )
    named = _renamed(checkpoint.tensors, naming, source)
    fitting = _distilled(spec, named, source)
    _check_geometry(fitting, named, source)
    with_heads = _one_head(_without_scales(_fused(named)), fitting)
    weights = _placed(_as_rows(with_heads), fitting)
    notes = {**(checkpoint.notes or {}), **_notes(naming, named)}
    return fitting, replace(checkpoint, tensors=weights, notes=notes)


def _renamed(tensors: Mapping[str, Tensor], naming: NamedBy, source: str) -> dict[str, Tensor]:
    """By our names; what no answer depends on is left out."""
    used = {key: tensor for key, tensor in tensors.items() if not naming.is_unused(key)}
    named = {key: naming.ours(key) for key in used}
    if strangers := [key for key, ours in named.items() if ours is None]:
        what = peculiarity(strangers)
        reason = f"it {what}" if what else "the zoo's plain ViTs have no place for them"
        raise CheckpointError(
            f"{source} cannot be loaded: {reason} ({some_of(strangers)}). {_ANY_NETWORK}"
        )
    found = {ours: used[key] for key, ours in named.items() if ours is not None}
    if "cls" not in found:
        raise CheckpointError(
            f"{source} cannot be loaded: it has no class token, which the zoo's ViTs answer by. "
            f"{_ANY_NETWORK}"
        )
    return found


def _distilled(spec: VitSpec, named: Mapping[str, Tensor], source: str) -> VitSpec:
    """The model with as many leading tokens as the checkpoint has."""
    if "head_distillation.weight" in named and "distillation" not in named:
        raise CheckpointError(
            f"{source} has a head for a distillation token, and no such token. Save the whole "
            "state dict."
        )
    return replace(spec, distilled="distillation" in named)


def _check_geometry(spec: VitSpec, named: Mapping[str, Tensor], source: str) -> None:
    """Refuses another width, depth or patch; heads cannot be seen in weights."""
    patches = named.get("embed.linear.weight")
    if patches is None or patches.ndim != 4 or patches.shape[1] != 3:
        shape = None if patches is None else list(patches.shape)
        raise CheckpointError(
            f"{source} embeds patches by weights of shape {shape}; expected [width, 3, side, side]."
        )
    found = (patches.shape[0], _depth(named), patches.shape[2])
    if found == _geometry(spec):
        return
    fitting = [
        name
        for name, entry in MODELS.items()
        if isinstance(entry.spec, VitSpec) and _geometry(entry.spec) == found
    ]
    remedy = f"Use --model {fitting[0]}." if fitting else _ANY_NETWORK
    raise CheckpointError(
        f"{source} is a ViT of {_described(found)}; {spec.name} has {_described(_geometry(spec))}. "
        f"{remedy}"
    )


def _geometry(spec: VitSpec) -> tuple[int, int, int]:
    return spec.width, spec.depth, spec.patch_px


def _described(geometry: tuple[int, int, int]) -> str:
    width, depth, patch_px = geometry
    return f"width {width}, {depth} blocks and patches of {patch_px} pixels"


def _depth(named: Mapping[str, Tensor]) -> int:
    numbers = [re.match(r"blocks\.(\d+)\.", key) for key in named]
    return max((int(found[1]) for found in numbers if found), default=-1) + 1


def _fused(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value [D, D] as one map [3 D, D], with a bias."""
    fused = {key: tensor for key, tensor in named.items() if _role(key) not in _ROLES}
    for block in range(_depth(named)):
        for kind in ("weight", "bias"):
            parts = [named.get(f"blocks.{block}.{role}.{kind}") for role in _ROLES]
            whole = [part for part in parts if part is not None]
            if len(whole) == len(_ROLES):
                fused[f"blocks.{block}.query_key_value.{kind}"] = torch.cat(whole)
        weight = fused.get(f"blocks.{block}.query_key_value.weight")
        if weight is not None:
            zeros = torch.zeros(len(weight), dtype=weight.dtype)
            fused.setdefault(f"blocks.{block}.query_key_value.bias", zeros)
    return fused


def _role(key: str) -> str:
    """Of ``blocks.3.query.weight``: query."""
    parts = key.split(".")
    return parts[2] if parts[0] == "blocks" and len(parts) > 2 else ""


def _without_scales(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """LayerScale multiplied into the map before it."""
    kept = dict(named)
    for role, linear in (("attention", "output"), ("mlp", "mlp.2")):
        for block in range(_depth(named)):
            scale = kept.pop(f"blocks.{block}.scale_{role}", None)
            weight, bias = (f"blocks.{block}.{linear}.{kind}" for kind in ("weight", "bias"))
            if scale is not None and weight in kept and bias in kept:
                kept[weight] = kept[weight].float() * scale.float()[:, None]
                kept[bias] = kept[bias].float() * scale.float()
    return kept


def _one_head(named: Mapping[str, Tensor], spec: VitSpec) -> dict[str, Tensor]:
    """Of a distilled model: both heads as one map of both tokens."""
    kept = dict(named)
    weight, bias = kept.get("head.weight"), kept.get("head.bias")
    second = kept.pop("head_distillation.weight", None)
    second_bias = kept.pop("head_distillation.bias", None)
    if not spec.distilled or weight is None or bias is None:
        return kept
    if second is None or second_bias is None:
        kept["head.weight"] = torch.cat([weight, torch.zeros_like(weight)], dim=1)
    else:
        kept["head.weight"] = torch.cat([weight, second], dim=1).float() / 2
        kept["head.bias"] = (bias.float() + second_bias.float()) / 2
    return kept


def _as_rows(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The convolution over patches as a linear map of rows (y, x, channel)."""
    weight = named["embed.linear.weight"]
    return {**named, "embed.linear.weight": weight.permute(0, 2, 3, 1).flatten(1)}


def _placed(named: Mapping[str, Tensor], spec: VitSpec) -> dict[str, Tensor]:
    """Both leading tokens as one weight, and positions for them."""
    kept = dict(named)
    tokens = [kept["cls"], kept.pop("distillation", None)]
    kept["cls"] = torch.cat([token for token in tokens if token is not None], dim=1)
    position = kept.get("position")
    if position is not None and position.ndim == 3 and _is_square(position.shape[1]):
        leading = position.new_zeros(1, spec.leading_tokens, position.shape[2])
        kept["position"] = torch.cat([leading, position], dim=1)
    return kept


def _is_square(count: int) -> bool:
    return math.isqrt(count) ** 2 == count


def _notes(naming: NamedBy, named: Mapping[str, Tensor]) -> dict[str, str]:
    """What a person should know of how they were taken."""
    notes = {"weights": f"named as in {naming.library}"}
    if "head_distillation.weight" in named:
        notes["distillation"] = "both heads, averaged"
    elif "distillation" in named:
        notes["distillation"] = "its token is read by no head: the class token answers alone"
    return notes

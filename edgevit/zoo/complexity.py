"""Parameters and multiply-accumulates of a model, from its spec alone (no torch)."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from edgevit.common.errors import InputError
from edgevit.zoo.spec import (
    STRIP_WIDTHS,
    STRIPS,
    ConvolutionalSpec,
    IsotropicSpec,
    LavitSpec,
    LlaSpec,
    ModelSpec,
    StageSpec,
    VitSpec,
    convolution_widths,
)
from edgevit.zoo.trunk_spec import Convolution, TrunkSpec

_NEIGHBOURS = 9  # a token's own place among them
_SLIC_FEATURES = 6  # L, a, b, y, x and a half


def parameters(spec: ModelSpec) -> int:
    """Trainable numbers."""
    if isinstance(spec, IsotropicSpec):
        return sum(_isotropic_parameters(spec).values())
    if isinstance(spec, LavitSpec):
        return _lavit_parameters(spec)
    if isinstance(spec, ConvolutionalSpec):
        return _convolutional_parameters(spec)
    raise _uncounted(spec)


def macs(spec: ModelSpec) -> dict[str, int]:
    """Multiply-accumulates of every matrix product for one image, by part of the model."""
    if isinstance(spec, LlaSpec):
        return _lla_macs(spec)
    if isinstance(spec, VitSpec):
        return _vit_macs(spec)
    if isinstance(spec, LavitSpec):
        return _lavit_macs(spec)
    if isinstance(spec, ConvolutionalSpec):
        return _convolutional_macs(spec)
    raise _uncounted(spec)


def _uncounted(spec: ModelSpec) -> InputError:
    return InputError(f"No count is written for models of type {type(spec).__name__}.")


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _isotropic_parameters(spec: IsotropicSpec) -> dict[str, int]:
    width, hidden = spec.width, spec.width * spec.mlp_ratio
    norm = 2 * width
    groups = {
        "embedding": _linear(spec.patch_values, width),
        "cls": width,
        "norm": norm,
        "head": _linear(width, spec.classes),
    }
    block = 2 * norm + _linear(width, width) + _linear(width, hidden) + _linear(hidden, width)
    if isinstance(spec, LlaSpec):
        shared, in_block = _lla_attention_parameters(spec)
        groups |= shared | {"embedding": _stem_parameters(spec)}
    else:
        groups["position"] = (spec.patches + 1) * width
        in_block = _linear(width, 3 * width)
    return groups | {"blocks": spec.depth * (block + in_block)}


def _stem_parameters(spec: LlaSpec) -> int:
    embedding = _linear(spec.pooled_width, spec.width)
    if spec.trunk is not None:
        return _trunk_parameters(spec.trunk) + embedding
    if spec.stem != "strips":
        return embedding
    of_strip, of_patch = STRIP_WIDTHS
    features = _linear(spec.patch_values // STRIPS, of_strip) + _linear(STRIPS * of_strip, of_patch)
    return features + embedding


def _stem_macs(spec: LlaSpec) -> int:
    """Of what every patch goes through before it is pooled."""
    if spec.trunk is not None:
        return _trunk_macs(spec.trunk, spec.image_px)
    if spec.stem != "strips":
        return 0
    of_strip, of_patch = STRIP_WIDTHS
    return spec.patches * (spec.patch_values * of_strip + STRIPS * of_strip * of_patch)


def _lla_attention_parameters(spec: LlaSpec) -> tuple[dict[str, int], int]:
    """What a wiring has once, and what it has in every block beside output, norms and MLP."""
    width, latents = spec.width, spec.latents * spec.width
    if spec.wiring == "carry":
        readings = spec.depth // spec.layers_per_reading
        keys_and_values = _linear(width, 2 * readings * width)
        shared = {"latents": latents, "keys_and_values": keys_and_values}
        if spec.picture_latents:
            shared["from_picture"] = _linear(spec.pooled_width, width)
        return shared, _linear(width, width)
    if spec.wiring == "joint":
        in_block = _linear(width, width) + _linear(width, 2 * width) + 2 * width
        return {"latents": latents}, in_block
    return {}, _linear(width, 3 * width) + (latents if spec.wiring == "writeback" else 0)


def _lla_macs(spec: LlaSpec) -> dict[str, int]:
    geometry, width = spec.geometry, spec.width
    count, tokens = geometry.superpixels, geometry.superpixels + 1
    strip_values, strip_cells = geometry.strip_to_cells.shape
    strips = spec.patches * geometry.cells_per_patch_side
    colour = strips * strip_values * strip_cells + 2 * 9 * geometry.cells
    superpixels = spec.superpixels
    coarse_cells = geometry.cells // 4
    # Each round sums over the cells of the round before, and measures those of its own.
    coarse_uses = 2 * superpixels.coarse_iterations + (superpixels.coarse_iterations > 0)
    fine_uses = 2 * superpixels.iterations - coarse_uses
    used_cells = coarse_uses * coarse_cells + fine_uses * geometry.cells
    coarsen = _SLIC_FEATURES * geometry.cells * (geometry.cells_per_patch // 4)
    rounds = used_cells * count * _SLIC_FEATURES + (coarsen if superpixels.coarse_iterations else 0)
    pooled = spec.pooled_width
    travelling = tokens if spec.wiring in ("writeback", "self") else spec.latents
    return {
        "superpixels": colour + rounds if spec.has_superpixels else 0,
        "stem": _stem_macs(spec),
        "pooling": count * spec.patches * pooled + count * geometry.cells * 3,
        "embedding": count * pooled * width + tokens * 2 * width,
        "attention": _lla_attention_macs(spec),
        "mlp": spec.depth * travelling * 2 * width * width * spec.mlp_ratio,
        "head": width * spec.classes,
    }


def _lla_attention_macs(spec: LlaSpec) -> int:
    """Projections, scores and weighted sums of all layers."""
    width, latents, tokens = spec.width, spec.latents, spec.geometry.superpixels + 1
    if spec.wiring == "carry":
        readings = 2 * spec.depth // spec.layers_per_reading * tokens * width * width
        from_picture = spec.pooled_width * width if spec.picture_latents else 0
        return from_picture + readings + spec.depth * 2 * latents * (width + tokens) * width
    if spec.wiring == "joint":
        read = tokens + latents
        return spec.depth * 2 * ((latents + read) * width + latents * read) * width
    # Scores and weighted sums: once among the tokens, or to the latents and back.
    looks = 4 * latents * tokens if spec.wiring == "writeback" else 2 * tokens * tokens
    return spec.depth * (4 * tokens * width + looks) * width


def _vit_macs(spec: VitSpec) -> dict[str, int]:
    width, tokens = spec.width, spec.patches + 1
    rows = spec.depth * tokens
    return {
        "embedding": spec.patches * spec.patch_values * width,
        "attention": rows * (4 * width * width + 2 * tokens * width),
        "mlp": rows * 2 * width * width * spec.mlp_ratio,
        "head": width * spec.classes,
    }


def _lavit_parameters(spec: LavitSpec) -> int:
    last = spec.stages[-1].width
    total = 2 * last + _linear(last, spec.classes)
    for index, (stage, side) in enumerate(zip(spec.stages, spec.sides, strict=True)):
        width, tokens = stage.width, side**2
        total += sum(_linear(inputs, outputs) for inputs, outputs, _ in _embedding(spec, index))
        total += 2 * width + tokens * width
        hidden = width * spec.mlp_ratio
        total += stage.layers * (4 * width + _linear(width, hidden) + _linear(hidden, width))
        own_scores = 2 * _linear(width, width) + _linear(width, 2 * width)
        if stage.reduction > 1:
            own_scores += _linear(width * stage.reduction**2, width) + 2 * width
        if spec.carries_attention_into(index):
            own_scores += 1  # the residual's scale
            total += _residual_parameters(spec, index)
        total += stage.vanilla * own_scores
        reused = 2 * _linear(width, width) + 2 * _token_map_parameters(spec, tokens)
        total += stage.less * reused
        if spec.local_perception:
            total += stage.layers * _linear(_NEIGHBOURS, 1) * width
    return total


def _embedding(spec: LavitSpec, index: int) -> list[tuple[int, int, int]]:
    """Of the maps that make the tokens of a stage: inputs and outputs of one token, and tokens."""
    stage, tokens = spec.stages[index], spec.sides[index] ** 2
    channels = 3 if index == 0 else spec.stages[index - 1].width
    if index > 0 or spec.stem == "patch":
        return [(channels * stage.patch**2, stage.width, tokens)]
    widths = convolution_widths(stage)
    quarters = [4**halvings for halvings in reversed(range(len(widths)))]
    return [
        (channels * _NEIGHBOURS, width, tokens * more)
        for channels, width, more in zip((channels, *widths), widths, quarters, strict=False)
    ]


def _token_map_parameters(spec: LavitSpec, tokens: int) -> int:
    return (
        _linear(tokens, tokens)
        if spec.transform_rank is None
        else (2 * tokens * spec.transform_rank + tokens)
    )


def _residual_parameters(spec: LavitSpec, index: int) -> int:
    """Depthwise over queries and over keys (or over both in the raster form), then over heads."""
    before, stage = spec.stages[index - 1], spec.stages[index]
    window = stage.patch**2
    depthwise = 2 * (window + 1) if spec.residual == "plane" else window**2 + 1
    return before.heads * depthwise + _linear(before.heads, stage.heads)


def _lavit_macs(spec: LavitSpec) -> dict[str, int]:
    parts = dict.fromkeys(("embedding", "local", "attention", "residual", "mlp"), 0)
    for index, (stage, side) in enumerate(zip(spec.stages, spec.sides, strict=True)):
        tokens = side**2
        parts["embedding"] += sum(prod(product) for product in _embedding(spec, index))
        if spec.local_perception:
            parts["local"] += stage.layers * tokens * _NEIGHBOURS * stage.width
        parts["attention"] += stage.vanilla * _vanilla_attention_macs(stage, tokens)
        parts["attention"] += stage.less * _less_attention_macs(spec, stage, tokens)
        if spec.carries_attention_into(index):
            parts["residual"] += _residual_macs(spec, index)
        parts["mlp"] += stage.layers * tokens * 2 * stage.width**2 * spec.mlp_ratio
    return parts | {"head": stage.width * spec.classes}


def _vanilla_attention_macs(stage: StageSpec, tokens: int) -> int:
    width, read = stage.width, tokens // stage.reduction**2
    merge = tokens * width * width if stage.reduction > 1 else 0
    return merge + 2 * (tokens + read) * width * width + 2 * tokens * read * width


def _less_attention_macs(spec: LavitSpec, stage: StageSpec, tokens: int) -> int:
    """Two token maps over scores, the values, their weighted sum, the output."""
    per_score = tokens if spec.transform_rank is None else 2 * spec.transform_rank
    transforms = 2 * stage.heads * tokens**2 * per_score
    return transforms + 2 * tokens * stage.width**2 + tokens**2 * stage.width


def _residual_macs(spec: LavitSpec, index: int) -> int:
    before, stage = spec.stages[index - 1], spec.stages[index]
    scores, window = spec.sides[index - 1] ** 4, stage.patch**2
    reduced = scores // window**2
    mixing = reduced * before.heads * stage.heads
    if spec.residual == "raster":
        return before.heads * scores + mixing
    return before.heads * (scores + scores // window) + mixing


class _Layer(NamedTuple):
    """A convolution (or, with a kernel of 0, a linear layer with bias) of a trunk."""

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    groups: int = 1


def _layers(trunk: TrunkSpec) -> Iterator[_Layer]:
    inputs = 3
    for block in trunk.blocks:
        kernel, stride = block.kernel, block.stride
        if isinstance(block, Convolution):
            yield _Layer(inputs, block.width, kernel, stride)
        else:
            hidden = block.hidden
            if block.fused:
                yield _Layer(inputs, hidden, kernel, stride)
            else:
                if hidden != inputs:
                    yield _Layer(inputs, hidden, 1)
                yield _Layer(hidden, hidden, kernel, stride, hidden)
            if block.squeeze:
                yield _Layer(hidden, block.squeeze, 0)
                yield _Layer(block.squeeze, hidden, 0)
            yield _Layer(hidden, block.width, 1)
        inputs = block.width


def _trunk_parameters(trunk: TrunkSpec) -> int:
    """Weights, and two numbers a channel of BatchNorm (or a bias)."""
    total = 0
    for layer in _layers(trunk):
        weights = layer.inputs // layer.groups * layer.outputs * max(1, layer.kernel**2)
        total += weights + layer.outputs * (2 if layer.kernel else 1)
    return total


def _trunk_macs(trunk: TrunkSpec, image_px: int) -> int:
    total, side = 0, image_px
    for layer in _layers(trunk):
        side = -(-side // layer.stride)
        places = side**2 if layer.kernel else 1
        total += places * layer.inputs // layer.groups * layer.outputs * max(1, layer.kernel**2)
    return total


def _convolutional_parameters(spec: ConvolutionalSpec) -> int:
    width = spec.trunk.width
    summary = _linear(width, spec.hidden) if spec.hidden else 2 * width
    return _trunk_parameters(spec.trunk) + summary + _linear(spec.summary_width, spec.classes)


def _convolutional_macs(spec: ConvolutionalSpec) -> dict[str, int]:
    return {
        "stem": _trunk_macs(spec.trunk, spec.image_px),
        "hidden": spec.trunk.width * spec.hidden,
        "head": spec.summary_width * spec.classes,
    }

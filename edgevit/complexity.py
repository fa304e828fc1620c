"""Parameters and multiply-accumulates of a model, from its spec alone (no torch)."""

from __future__ import annotations

from edgevit.errors import InputError
from edgevit.spec import LlaSpec, ModelSpec, VitSpec

_SLIC_FEATURES = 6  # L, a, b, y, x and a half


def parameters(spec: ModelSpec) -> int:
    """Trainable numbers."""
    return sum(_parameter_groups(spec).values())


def macs(spec: ModelSpec) -> dict[str, int]:
    """Multiply-accumulates of every matrix product for one image, by part of the model."""
    if isinstance(spec, LlaSpec):
        return _lla_macs(spec)
    if isinstance(spec, VitSpec):
        return _vit_macs(spec)
    raise InputError(f"No count is written for models of type {type(spec).__name__}.")


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _parameter_groups(spec: ModelSpec) -> dict[str, int]:
    width, hidden = spec.width, spec.width * spec.mlp_ratio
    norm = 2 * width
    moments = spec.moments if isinstance(spec, LlaSpec) else 1
    groups = {
        "embedding": _linear(spec.patch_values * moments, width),
        "cls": width,
        "norm": norm,
        "head": _linear(width, spec.classes),
    }
    block = 2 * norm + _linear(width, width) + _linear(width, hidden) + _linear(hidden, width)
    if isinstance(spec, LlaSpec):
        shared, in_block = _lla_attention_parameters(spec)
        groups |= shared
    else:
        groups["position"] = (spec.patches + 1) * width
        in_block = _linear(width, 3 * width)
    return groups | {"blocks": spec.depth * (block + in_block)}


def _lla_attention_parameters(spec: LlaSpec) -> tuple[dict[str, int], int]:
    """What a wiring has once, and what it has in every block beside output, norms and MLP."""
    width, latents = spec.width, spec.latents * spec.width
    if spec.wiring == "carry":
        keys_and_values = _linear(width, 2 * spec.depth * width)
        return {"latents": latents, "keys_and_values": keys_and_values}, _linear(width, width)
    if spec.wiring == "joint":
        in_block = _linear(width, width) + _linear(width, 2 * width) + 2 * width
        return {"latents": latents}, in_block
    return {}, _linear(width, 3 * width) + latents


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
    stem = spec.patch_values * spec.moments
    travelling = tokens if spec.wiring == "writeback" else spec.latents
    return {
        "superpixels": colour + rounds,
        "pooling": count * spec.patches * stem + count * geometry.cells * 3,
        "embedding": count * stem * width + tokens * 2 * width,
        "attention": _lla_attention_macs(spec),
        "mlp": spec.depth * travelling * 2 * width * width * spec.mlp_ratio,
        "head": width * spec.classes,
    }


def _lla_attention_macs(spec: LlaSpec) -> int:
    """Projections, scores and weighted sums of all layers."""
    width, latents, tokens = spec.width, spec.latents, spec.geometry.superpixels + 1
    if spec.wiring == "writeback":
        layer = 4 * tokens * width * width + 4 * latents * tokens * width
    else:
        read = tokens + (latents if spec.wiring == "joint" else 0)
        layer = 2 * (latents + read) * width * width + 2 * latents * read * width
    return spec.depth * layer


def _vit_macs(spec: VitSpec) -> dict[str, int]:
    width, tokens = spec.width, spec.patches + 1
    rows = spec.depth * tokens
    return {
        "embedding": spec.patches * spec.patch_values * width,
        "attention": rows * (4 * width * width + 2 * tokens * width),
        "mlp": rows * 2 * width * width * spec.mlp_ratio,
        "head": width * spec.classes,
    }

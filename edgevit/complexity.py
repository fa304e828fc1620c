"""Parameters and multiply-accumulates of a model, from its spec alone (no torch)."""

from __future__ import annotations

from edgevit.errors import InputError
from edgevit.spec import LlaSpec, ModelSpec, VitSpec

_SLIC_FEATURES = 6  # L, a, b, y, x and a one


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
    mlp = _linear(width, hidden) + _linear(hidden, width)
    groups = {
        "embedding": _linear(spec.patch_values, width),
        "cls": width,
        "norm": norm,
        "head": _linear(width, spec.classes),
    }
    if isinstance(spec, LlaSpec):
        block = 2 * norm + 2 * _linear(width, width) + mlp
        groups["latents"] = spec.latents * width
        groups["keys_and_values"] = _linear(width, 2 * spec.depth * width)
    else:
        block = 2 * norm + _linear(width, 3 * width) + _linear(width, width) + mlp
        groups["position"] = (spec.patches + 1) * width
    return groups | {"blocks": spec.depth * block}


def _lla_macs(spec: LlaSpec) -> dict[str, int]:
    geometry, width = spec.geometry, spec.width
    count, tokens = geometry.superpixels, geometry.superpixels + 1
    strip_values, strip_cells = geometry.strip_to_cells.shape
    strips = spec.patches * geometry.cells_per_patch_side
    colour = strips * strip_values * strip_cells + 2 * 9 * geometry.cells
    rounds = spec.superpixels.iterations * 2 * count * geometry.cells * _SLIC_FEATURES
    latent_rows = spec.depth * spec.latents
    return {
        "superpixels": colour + rounds,
        "pooling": count * spec.patches * spec.patch_values + count * geometry.cells * 2,
        "embedding": count * spec.patch_values * width + tokens * 2 * width,
        "keys_and_values": tokens * width * 2 * spec.depth * width,
        "attention": latent_rows * (2 * width * width + 2 * tokens * width),
        "mlp": latent_rows * 2 * width * width * spec.mlp_ratio,
        "head": width * spec.classes,
    }


def _vit_macs(spec: VitSpec) -> dict[str, int]:
    width, tokens = spec.width, spec.patches + 1
    rows = spec.depth * tokens
    return {
        "embedding": spec.patches * spec.patch_values * width,
        "attention": rows * (4 * width * width + 2 * tokens * width),
        "mlp": rows * 2 * width * width * spec.mlp_ratio,
        "head": width * spec.classes,
    }

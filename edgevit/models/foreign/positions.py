"""Learned positions of another image size: resampled where that is asked for, else refused."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from edgevit.common.errors import CheckpointError
from edgevit.models.checkpoint import Checkpoint
from edgevit.models.classifier import ZooModule

_POSITION = "position"


def is_position(key: str) -> bool:
    """Whether a weight of that name is a table of positions."""
    return key.rsplit(".", 1)[-1] == _POSITION


def resampled(table: Tensor, shape: torch.Size) -> Tensor:
    """A table of positions [..., N, D] for a square of tokens, after any that stand before it.

    Bicubic. A table that is no square of tokens, or of another width, stays as it is.
    """
    if table.shape[-1] != shape[-1] or table.ndim != len(shape) or table.shape == shape:
        return table
    rows, wanted = table.shape[-2], shape[-2]
    side, wanted_side = math.isqrt(rows), math.isqrt(wanted)
    leading = rows - side**2  # a CLS token stands before the square
    if wanted - wanted_side**2 != leading:
        return table
    before, square = table[..., :leading, :], table[..., leading:, :]
    plane = square.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = interpolate(plane, (wanted_side, wanted_side), mode="bicubic", antialias=True)
    grid = resized.permute(0, 2, 3, 1).reshape(*shape[:-2], -1, shape[-1])
    return torch.cat([before, grid], dim=-2)


def fit_positions(
    module: ZooModule, checkpoint: Checkpoint, resample: bool, source: str
) -> Checkpoint:
    """The checkpoint with tables of positions of the module's size.

    Raises:
        CheckpointError: they are of another size, and resampling was not asked for.
    """
    fitting = dict(checkpoint.tensors)
    for key, own in module.state_dict().items():
        given = fitting.get(key)
        if given is None or not is_position(key):
            continue
        table = resampled(given.float(), own.shape)
        if table.shape == own.shape != given.shape:
            if not resample:
                raise _of_another_size(module, given, own, source)
            fitting[key] = table
    return replace(checkpoint, tensors=fitting)


def _of_another_size(module: ZooModule, given: Tensor, own: Tensor, source: str) -> CheckpointError:
    spec = module.spec
    theirs, ours = math.isqrt(given.shape[-2]), math.isqrt(own.shape[-2])
    size_px = spec.image_px * theirs // ours
    return CheckpointError(
        f"{source} has positions for {theirs} x {theirs} patches, as of pictures of {size_px} "
        f"pixels; {spec.name} has {ours} x {ours}, of {spec.image_px}. Export it for its own size "
        f"with --image-px {size_px}, or interpolate the positions with --resample-positions."
    )

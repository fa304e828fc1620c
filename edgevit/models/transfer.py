"""Starting from weights of another image size or other classes: fine-tuning."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from edgevit.common.errors import CheckpointError, some_of
from edgevit.common.progress import Progress
from edgevit.models.checkpoint import Checkpoint, refuse_infinite, weights_of
from edgevit.models.classifier import ZooModule

_POSITION = "position"


def start_from(module: ZooModule, checkpoint: Checkpoint, source: str, progress: Progress) -> None:
    """Takes over every weight that fits; says which keep their random start.

    Learned positions of another image size are resampled (bicubic), and where a larger model can
    answer as a smaller one did, it does (:meth:`ZooModule.grown`). A head for other classes, and
    a LaViT's maps over another number of tokens, start anew. A model on a backbone also starts from
    a classifier's weights (:meth:`ZooModule.source_key`).

    Raises:
        CheckpointError: too little fits: these are another model's weights.
    """
    own = module.state_dict()
    taken: dict[str, Tensor] = {}
    for key, wanted in weights_of(own).items():
        given = checkpoint.tensors.get(key)
        if given is None:
            given = checkpoint.tensors.get(module.source_key(key))
        if given is not None and key.rsplit(".", 1)[-1] == _POSITION:
            given = _resampled(given.float(), wanted.shape)
        if given is not None:
            given = module.grown(key, given)
        if given is not None and given.shape == wanted.shape:
            taken[key] = given.to(wanted.dtype)
    fresh = sorted(set(weights_of(own)) - set(taken))
    refuse_infinite(taken, source)
    if _size(taken) < module.least_share * _size(own):
        raise CheckpointError(
            f"{source} does not fit {module.spec.name}: of {len(own)} weights only {len(taken)} "
            "have the same name and shape. Give weights of the same model."
        )
    module.load_state_dict({**own, **taken})
    progress.line(f"start from {source}" + (f"; anew: {some_of(fresh)}" if fresh else ""))


def _size(state: dict[str, Tensor]) -> int:
    """Numbers in a state, without the head, which is as large as there are classes."""
    return sum(tensor.numel() for key, tensor in state.items() if not key.startswith("head."))


def _resampled(table: Tensor, shape: torch.Size) -> Tensor:
    """A table of positions [..., N, D] for a square of tokens, after any that stand before it."""
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

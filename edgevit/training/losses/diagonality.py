"""LaViT's diagonality preserving loss: transformed attention should still know its own token.

Source: arXiv 2406.00427. As printed its diagonal term has the wrong sign and, on scores before
softmax, no lower bound; ``literal`` keeps it for comparison. ``bounded`` is ours:

    mean_i sum_j |P_ij - P_ji|  +  mean_i relu(1 - N P_ii),   P = softmax(S)
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def diagonality_loss(scores: list[Tensor], form: Literal["bounded", "literal"]) -> Tensor:
    """The mean over the less-attention layers' scores [B, h, N, N], over heads and pictures."""
    loss = _bounded if form == "bounded" else _literal
    return torch.stack([loss(layer.float()) for layer in scores]).mean()


def _bounded(scores: Tensor) -> Tensor:
    attention = scores.softmax(dim=-1)
    tokens = attention.shape[-1]
    own = attention.diagonal(dim1=-2, dim2=-1)
    return _asymmetry(attention) + (1 - tokens * own).relu().mean()


def _literal(scores: Tensor) -> Tensor:
    tokens = scores.shape[-1]
    own = scores.diagonal(dim1=-2, dim2=-1)
    others = scores.sum(dim=-1) - own
    return _asymmetry(scores) + ((tokens - 1) * own - others).mean()


def _asymmetry(matrix: Tensor) -> Tensor:
    """mean_i sum_j |M_ij - M_ji|"""
    return (matrix - matrix.transpose(-2, -1)).abs().sum(dim=-1).mean()

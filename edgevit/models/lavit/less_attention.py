"""The two kinds of attention of a LaViT, and the layer around them.

Source: "You Only Need Less Attention at Each Stage", arXiv 2406.00427, reconstructed from its
abstract and figure 1; initial values, biases and the low-rank form are ours.

- Vanilla attention (VA):  S = Q K^T / sqrt(d) (+ alpha R),          Z = softmax(S) V
- Less attention (LA):     S = Psi(Theta(S_before)^T)^T,             Z = softmax(S) V

R is what the stage before hands down (:mod:`edgevit.models.lavit.attention_residual`). An LA layer
has no queries and no keys: it transforms the scores, before softmax, of the layer below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from edgevit.models.layers import Mlp, layer_norm, merge_heads, merge_squares, split_heads
from edgevit.zoo.spec import StageSpec

_RESIDUAL_SCALE = 0.1
_TRANSFORM_NOISE = 0.02


class ScoredAttention(nn.Module, ABC):
    """Attention whose scores are seen from outside."""

    @abstractmethod
    def forward(self, tokens: Tensor, batch: int, carried: Tensor | None) -> tuple[Tensor, Tensor]:
        """tokens [B*N, D]; carried [B, h, N, N] scores, or None, to (rows [B*N, D], scores)."""


class VanillaAttention(ScoredAttention):
    """Queries meet keys. ``carried`` is the residual R, added with a learned scale.

    With ``reduction`` r > 1, keys and values are read from r x r tokens merged into one (a
    convolution whose kernel is its stride, and a norm), as in a pyramid ViT.
    """

    def __init__(self, stage: StageSpec, side: int, takes_residual: bool) -> None:
        super().__init__()
        width, self.heads, self.side = stage.width, stage.heads, side
        self.reduction = stage.reduction
        self.scale = (width // stage.heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        if self.reduction > 1:
            self.merge = nn.Linear(width * self.reduction**2, width)
            self.norm_merged = layer_norm(width)
        self.residual_scale = (
            nn.Parameter(torch.tensor(_RESIDUAL_SCALE)) if takes_residual else None
        )

    def forward(self, tokens: Tensor, batch: int, carried: Tensor | None) -> tuple[Tensor, Tensor]:
        query = split_heads(self.query(tokens), batch, self.heads)
        read = self._merged(tokens, batch) if self.reduction > 1 else tokens
        key, value = split_heads(self.key_value(read), batch, 2 * self.heads).chunk(2, dim=1)
        scores = query @ key.transpose(-2, -1) * self.scale
        if self.residual_scale is not None and carried is not None:
            scores = scores + self.residual_scale * carried
        return self.output(merge_heads(scores.softmax(dim=-1) @ value)), scores

    def _merged(self, tokens: Tensor, batch: int) -> Tensor:
        grid = tokens.reshape(batch, self.side, self.side, -1)
        merged = self.merge(merge_squares(grid, self.reduction).flatten(0, 1))
        normal: Tensor = self.norm_merged(merged)
        return normal


class LessAttention(ScoredAttention):
    """Scores of the layer below, transformed over keys (Theta) and over queries (Psi)."""

    def __init__(self, stage: StageSpec, tokens: int, rank: int | None) -> None:
        super().__init__()
        self.heads = stage.heads
        self.theta = _token_map(tokens, rank)
        self.psi = _token_map(tokens, rank)
        self.value = nn.Linear(stage.width, stage.width)
        self.output = nn.Linear(stage.width, stage.width)

    def forward(self, tokens: Tensor, batch: int, carried: Tensor | None) -> tuple[Tensor, Tensor]:
        if carried is None:
            raise ValueError("a less-attention layer needs the scores of the layer below")
        scores = self.psi.over_queries(self.theta.over_keys(carried))
        value = split_heads(self.value(tokens), batch, self.heads)
        return self.output(merge_heads(scores.softmax(dim=-1) @ value)), scores


class TokenMap(nn.Module):
    """A linear map N -> N over tokens, shared by the heads: (I + W) s + b.

    It starts close to the identity, and weight decay pulls it back there. I + W is a constant once
    the model is exported.
    """

    identity: Tensor

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.randn(tokens, tokens) * _TRANSFORM_NOISE)
        self.bias = nn.Parameter(torch.zeros(tokens))
        self.register_buffer("identity", torch.eye(tokens), persistent=False)

    def over_keys(self, scores: Tensor) -> Tensor:
        """[B, h, N, N] along the last axis."""
        return scores @ (self.identity + self.change).T + self.bias

    def over_queries(self, scores: Tensor) -> Tensor:
        """[B, h, N, N] along the axis before: what transposing, mapping and transposing gives."""
        return (self.identity + self.change) @ scores + self.bias[:, None]


class LowRankTokenMap(nn.Module):
    """(I + U V) s + b with V: N -> r and U: r -> N. Costs 2 N r a row instead of N^2."""

    def __init__(self, tokens: int, rank: int) -> None:
        super().__init__()
        # The product of the two has the spread of the full map's noise.
        spread = (_TRANSFORM_NOISE / rank**0.5) ** 0.5
        self.down = nn.Parameter(torch.randn(rank, tokens) * spread)
        self.up = nn.Parameter(torch.randn(tokens, rank) * spread)
        self.bias = nn.Parameter(torch.zeros(tokens))

    def over_keys(self, scores: Tensor) -> Tensor:
        """As :meth:`TokenMap.over_keys`."""
        return scores + (scores @ self.down.T) @ self.up.T + self.bias

    def over_queries(self, scores: Tensor) -> Tensor:
        """As :meth:`TokenMap.over_queries`."""
        return scores + self.up @ (self.down @ scores) + self.bias[:, None]


def _token_map(tokens: int, rank: int | None) -> TokenMap | LowRankTokenMap:
    return TokenMap(tokens) if rank is None else LowRankTokenMap(tokens, rank)


class LavitBlock(nn.Module):
    """One layer: attention of either kind, then an MLP, each on normalised tokens and added.

    ``local`` maps tokens to what is added to them before: their neighbourhood, if anything.
    """

    def __init__(
        self, attention: ScoredAttention, width: int, mlp_ratio: int, local: nn.Module | None
    ) -> None:
        super().__init__()
        self.local = local
        self.norm_attention = layer_norm(width)
        self.attention = attention
        self.norm_mlp = layer_norm(width)
        self.mlp = Mlp(width, mlp_ratio)

    def forward(self, tokens: Tensor, batch: int, carried: Tensor | None) -> tuple[Tensor, Tensor]:
        """As :meth:`ScoredAttention.forward`."""
        if self.local is not None:
            tokens = tokens + self.local(tokens)
        attended, scores = self.attention(self.norm_attention(tokens), batch, carried)
        tokens = tokens + attended
        return tokens + self.mlp(self.norm_mlp(tokens)), scores

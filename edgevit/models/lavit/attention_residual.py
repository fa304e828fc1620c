"""Attention residual downsampling: a stage's last scores, made to fit the next stage.

    R = Conv1x1(DWConv(S)):  [B, h, N, N] -> [B, h', N/p^2, N/p^2],  p the patch of the next stage

Source: LaViT, arXiv 2406.00427, figure 2; the form of the depthwise convolution is ours. Its
``plane`` form views the scores as [B, h, H, W, H, W] and convolves over the plane of the queries,
then over that of the keys. The ``raster`` form takes p^2 tokens in a row, which straddles rows of
the picture.
"""

from __future__ import annotations

from torch import Tensor, nn


class PlaneDownsampling(nn.Module):
    """Depthwise p x p, stride p, over the queries' plane and then over the keys'."""

    def __init__(self, heads: int, next_heads: int, side: int, patch: int) -> None:
        super().__init__()
        self.side, self.tokens = side, (side // patch) ** 2
        self.over_queries = nn.Conv2d(heads, heads, patch, patch, groups=heads)
        self.over_keys = nn.Conv2d(heads, heads, patch, patch, groups=heads)
        self.mix_heads = nn.Conv2d(heads, next_heads, 1)

    def forward(self, scores: Tensor) -> Tensor:
        """[B, h, N, N] to [B, h', N/p^2, N/p^2]."""
        batch, heads, keys = scores.shape[0], scores.shape[1], scores.shape[3]
        plane = (-1, heads, self.side, self.side)
        fewer = self.over_queries(scores.permute(0, 3, 1, 2).reshape(plane))
        by_query = fewer.reshape(batch, keys, heads, self.tokens).permute(0, 3, 2, 1)
        residual: Tensor = self.mix_heads(self.over_keys(by_query.reshape(plane)))
        return residual.reshape(batch, self.tokens, -1, self.tokens).transpose(1, 2)


class RasterDownsampling(nn.Sequential):
    """Depthwise p^2 x p^2, stride p^2, over (query, key) as they are numbered."""

    def __init__(self, heads: int, next_heads: int, side: int, patch: int) -> None:
        del side
        tokens = patch**2
        super().__init__(
            nn.Conv2d(heads, heads, tokens, tokens, groups=heads),
            nn.Conv2d(heads, next_heads, 1),
        )


RESIDUALS: dict[str, type[PlaneDownsampling] | type[RasterDownsampling]] = {
    "plane": PlaneDownsampling,
    "raster": RasterDownsampling,
}

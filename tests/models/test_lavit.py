"""LaViT computes what its formulas say, and its stages are there for other heads."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from edgevit.common.errors import InputError
from edgevit.models.build import build
from edgevit.models.lavit.attention_residual import PlaneDownsampling, RasterDownsampling
from edgevit.models.lavit.less_attention import LessAttention, VanillaAttention
from edgevit.models.lavit.local_perception import LocalPerception
from edgevit.training.losses.diagonality import diagonality_loss
from edgevit.zoo.registry import MODELS, find
from edgevit.zoo.spec import LavitSpec, StageSpec

LAVITS = [name for name, entry in MODELS.items() if entry.spec.family == "lavit"]
STAGES = (StageSpec(16, 2, 2, 1), StageSpec(32, 4, 3, 2))
SMALL = LavitSpec("small", STAGES, image_px=16, classes=5)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("rank", [None, 3])
def test_less_attention_transforms_the_scores_below(rank: int | None) -> None:
    """S = Psi(Theta(S)^T)^T, with Psi and Theta linear maps over tokens, shared by the heads."""
    layer = LessAttention(StageSpec(32, 4, 2, 1), tokens=9, rank=rank)
    for bias in (layer.theta.bias, layer.psi.bias):
        nn.init.normal_(bias)
    before = torch.randn(2, 4, 9, 9)
    _, scores = layer(torch.randn(18, 32), 2, before)
    theta, psi = (_as_matrix(token_map) for token_map in (layer.theta, layer.psi))
    after_theta = before @ theta.T + layer.theta.bias
    expected = (after_theta.transpose(-2, -1) @ psi.T + layer.psi.bias).transpose(-2, -1)
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)


def _as_matrix(token_map: nn.Module) -> torch.Tensor:
    identity = torch.eye(9)
    if hasattr(token_map, "change"):
        return identity + token_map.change
    return identity + token_map.up @ token_map.down


@pytest.mark.parametrize("rank", [None, 32])
def test_less_attention_starts_close_to_what_it_is_given(rank: int | None) -> None:
    layer = LessAttention(StageSpec(32, 4, 2, 1), tokens=49, rank=rank)
    before = torch.randn(2, 4, 49, 49)
    _, scores = layer(torch.randn(98, 32), 2, before)
    change = (scores - before).std()
    assert 0.05 < change < 0.5, "noise of 0.02 over 49 tokens, twice"


@pytest.mark.parametrize("reduction", [1, 2])
def test_vanilla_attention_reads_merged_tokens(reduction: int) -> None:
    """Merging is a convolution whose kernel is its stride."""
    layer = VanillaAttention(StageSpec(32, 4, 1, reduction=reduction), side=4, takes_residual=False)
    tokens = torch.randn(2, 16, 32)
    read = tokens
    if reduction > 1:
        kernel = layer.merge.weight.reshape(32, reduction, reduction, 32).permute(0, 3, 1, 2)
        plane = tokens.reshape(2, 4, 4, 32).permute(0, 3, 1, 2)
        merged = conv2d(plane, kernel, layer.merge.bias, stride=reduction)
        read = layer.norm_merged(merged.flatten(2).transpose(1, 2))
    key, value = layer.key_value(read).reshape(2, -1, 2, 4, 8).permute(2, 0, 3, 1, 4)
    query = layer.query(tokens).reshape(2, 16, 4, 8).transpose(1, 2)
    expected_scores = query @ key.mT / 8**0.5
    attended = expected_scores.softmax(-1) @ value
    expected = layer.output(attended.transpose(1, 2).reshape(32, 32))
    rows, scores = layer(tokens.reshape(32, 32), 2, None)
    torch.testing.assert_close(scores, expected_scores, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rows, expected, atol=1e-5, rtol=1e-5)


def test_local_perception_sees_the_neighbours_of_every_token() -> None:
    """Out[y, x] = b + sum of w[i, j] In[y + i - 1, x + j - 1] in every channel, zeros around."""
    module = LocalPerception(width=6, side=4)
    tokens = torch.randn(2 * 16, 6)
    framed = nn.functional.pad(tokens.reshape(2, 4, 4, 6), (0, 0, 1, 1, 1, 1))
    weight, expected = module.depthwise.weight[:, 0], module.depthwise.bias.expand(2, 4, 4, 6)
    for i in range(3):
        for j in range(3):
            expected = expected + weight[:, i, j] * framed[:, i : i + 4, j : j + 4]
    torch.testing.assert_close(module(tokens), expected.reshape(32, 6), atol=1e-5, rtol=1e-5)


def test_the_residual_is_added_with_a_learned_scale() -> None:
    layer = VanillaAttention(StageSpec(32, 4, 1), side=3, takes_residual=True)
    tokens, residual = torch.randn(9, 32), torch.randn(1, 4, 9, 9)
    _, without = layer(tokens, 1, None)
    _, with_residual = layer(tokens, 1, residual)
    torch.testing.assert_close(with_residual - without, 0.1 * residual)
    with_residual.sum().backward()
    assert layer.residual_scale.grad is not None


def test_plane_downsampling_goes_over_both_planes() -> None:
    """Scores [h, y, x, v, u]: 2x2 weights over the query's (y, x), then the key's (v, u)."""
    module = PlaneDownsampling(heads=2, next_heads=3, side=4, patch=2)
    scores = torch.randn(5, 2, 16, 16)
    planes = scores.reshape(5, 2, 2, 2, 2, 2, 2, 2, 2, 2)  # b h (y a)(x c) (v e)(u f)
    of_queries, of_keys = module.over_queries, module.over_keys
    fewer = torch.einsum("bhyaxcveuf,hac->bhyxveuf", planes, of_queries.weight[:, 0])
    fewer = fewer + of_queries.bias[:, None, None, None, None, None, None]
    both = torch.einsum("bhyxveuf,hef->bhyxvu", fewer, of_keys.weight[:, 0])
    both = (both + of_keys.bias[:, None, None, None, None]).reshape(5, 2, 4, 4)
    mixed = torch.einsum("bhqk,gh->bgqk", both, module.mix_heads.weight[:, :, 0, 0])
    expected = mixed + module.mix_heads.bias[:, None, None]
    torch.testing.assert_close(module(scores), expected, atol=1e-5, rtol=1e-5)


def test_raster_downsampling_takes_tokens_as_they_are_numbered() -> None:
    module = RasterDownsampling(heads=2, next_heads=3, side=4, patch=2)
    scores = torch.randn(5, 2, 16, 16)
    blocks = scores.reshape(5, 2, 4, 4, 4, 4)
    depthwise, mix = module
    windows = torch.einsum("bhqakc,hac->bhqk", blocks, depthwise.weight[:, 0])
    windows = windows + depthwise.bias[:, None, None]
    expected = torch.einsum("bhqk,gh->bgqk", windows, mix.weight[:, :, 0, 0])
    expected = expected + mix.bias[:, None, None]
    torch.testing.assert_close(module(scores), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "stages"), [("lavit_tiny", [4]), ("lavit_small", [4]), ("lavit_tiny_32", [2, 3])]
)
def test_attention_is_handed_down_between_square_stages(name: str, stages: list[int]) -> None:
    spec = find(name).spec
    takers = [i + 1 for i in range(len(spec.stages)) if spec.carries_attention_into(i)]
    assert takers == stages
    module = build(replace(spec, residual="none"))
    assert all(stage.residual is None for stage in module.stages)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"residual": "raster"},
        {"residual": "none"},
        {"transform_rank": 2},
        {"local_perception": True},
    ],
)
def test_every_parameter_learns(options: dict[str, object]) -> None:
    module = build(replace(SMALL, **options))
    pictures = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    module(pictures).square().mean().backward()
    idle = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_the_stage_maps_are_a_backbones() -> None:
    """Strides 4, 8, 16, 32, channels first, as detection and segmentation heads want them."""
    steps = build(find("lavit_tiny").spec).steps(torch.zeros(2, 224, 224, 3, dtype=torch.uint8))
    shapes = [tuple(steps[f"stage_{number}"].shape) for number in (1, 2, 3, 4)]
    assert shapes == [(2, 64, 56, 56), (2, 128, 28, 28), (2, 320, 14, 14), (2, 512, 7, 7)]


def test_attention_to_oneself_costs_nothing() -> None:
    """The loss is 0 for attention that is symmetric and at least uniform on the diagonal."""
    own = 20 * torch.eye(9).expand(2, 3, 9, 9)
    assert diagonality_loss([own], "bounded") < 1e-4
    uniform = torch.zeros(2, 3, 9, 9)
    assert diagonality_loss([uniform], "bounded") < 1e-6
    elsewhere = 20 * torch.eye(9).roll(1, 0).expand(2, 3, 9, 9)
    assert diagonality_loss([elsewhere], "bounded") == pytest.approx(3.0, abs=1e-3)


def test_the_bounded_loss_is_bounded_and_the_literal_one_is_not() -> None:
    scores = torch.randn(2, 3, 9, 9)
    for size in (1.0, 100.0, 10_000.0):
        assert 0 <= diagonality_loss([size * scores], "bounded") <= 3
    less_diagonal = [scores - size * torch.eye(9) for size in (0, 100, 10_000)]
    literal = [float(diagonality_loss([s], "literal")) for s in less_diagonal]
    assert literal == sorted(literal, reverse=True), "as printed, it drives the diagonal down"
    assert literal[-1] < -10_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_px": 18}, "multiple of 4"),
        ({"stages": ()}, "no stages"),
        ({"stages": (StageSpec(15, 2, 1),)}, "not divisible by 2 heads"),
        ({"stages": (StageSpec(16, 2, 2, 2),)}, "must be vanilla"),
        ({"stages": (StageSpec(16, 2, 2, 1, reduction=2),)}, "square scores"),
        ({"stages": (StageSpec(16, 2, 1, reduction=3),)}, "cannot be merged by 3"),
        ({"transform_rank": 0}, "got rank 0"),
    ],
)
def test_an_impossible_lavit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SMALL, **changes)


def test_low_rank_transforms_pay_at_224() -> None:
    """As printed, LA does not lower the MACs at 224; at 128 it does, and of rank 32 it does."""
    from edgevit.models.count import count_spec

    def saved(name: str) -> float:
        spec = find(name).spec
        vanilla = replace(spec, stages=tuple(replace(s, less=0) for s in spec.stages))
        with_la, without = (count_spec(s).macs for s in (spec, vanilla))
        return 1 - with_la / without

    assert -0.01 < saved("lavit_tiny") < 0.005
    assert saved("lavit_tiny_low_rank") > 0.02
    assert saved("lavit_tiny_128") > 0.03

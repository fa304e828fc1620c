"""The exact shortcuts in the models are exact, and every model answers whatever it is shown."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from edgevit.images import image_io
from edgevit.models.build import build
from edgevit.models.layers import PatchEmbed, patch_rows
from edgevit.models.superpixel.lla_carry import CarryBlock, KeysAndValues
from edgevit.models.superpixel.lla_joint import JointBlock
from edgevit.models.superpixel.lla_writeback import WritebackBlock
from edgevit.models.superpixel.sppp import SuperpixelPatchPooling
from edgevit.models.superpixel.stem import STEMS, StripStem
from edgevit.zoo.interface.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from edgevit.zoo.registry import MODELS, find
from edgevit.zoo.spec import LlaSpec, SuperpixelSpec
from edgevit.zoo.trunk_spec import Convolution, InvertedResidual, TrunkSpec
from support import shallow

TRUNK = TrunkSpec((Convolution(8, stride=4), InvertedResidual(24, 16, kernel=5, stride=4)))
SMALL = LlaSpec("small", 48, 3, 2, classes=5)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_patch_rows_are_the_patches(photo_batch: np.ndarray) -> None:
    rows = patch_rows(torch.from_numpy(photo_batch), 16)
    assert rows.shape == (len(photo_batch), 196, 768)
    np.testing.assert_array_equal(
        rows[1, 3 * 14 + 5].numpy(), photo_batch[1, 48:64, 80:96].ravel().astype(np.float32)
    )


def test_the_embedding_folds_the_normalisation() -> None:
    embed = PatchEmbed(SMALL, 16**2, 48)
    rows = torch.randint(0, 256, (2, 7, 768)).float()
    pixels = rows.reshape(2, 7, 256, 3) / 255
    normal = (pixels - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    torch.testing.assert_close(embed(rows), embed.linear(normal.flatten(2)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("grid", [(4, 4), (7, 7)])
@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("pooling", ["hard", "soft", "squares"])
def test_pooling_before_embedding_is_exact(
    photo_batch: np.ndarray, grid: tuple[int, int], stem: str, pooling: str
) -> None:
    """Embedding every patch, and then pooling, gives what the model gives."""
    trunk = TRUNK if stem == "convolution" else None
    superpixels = SuperpixelSpec(grid)
    spec = LlaSpec("s", 48, 3, 1, superpixels=superpixels, stem=stem, trunk=trunk, pooling=pooling)
    sppp = SuperpixelPatchPooling(spec).eval()
    patches = patch_rows(torch.from_numpy(photo_batch), 16)
    values = sppp.stem.values(torch.from_numpy(photo_batch).float(), patches)
    pooled = sppp.superpixels.pool(values, sppp.superpixels.assign(patches))
    ours = sppp.stem(pooled.means) * pooled.occupied[..., None]
    members = pooled.membership.sum(-1, keepdim=True)
    expected = pooled.membership @ sppp.stem(values) / torch.where(members > 0, members, 1.0)
    torch.testing.assert_close(ours, expected, atol=2e-4, rtol=1e-4)
    if grid == (7, 7) and pooling == "hard":
        assert (pooled.occupied == 0).any(), "the test wants an empty superpixel"


def test_second_moments_fold_the_normalisation_too() -> None:
    embed = PatchEmbed(SMALL, 16**2, 48, moments=2)
    rows = torch.randint(0, 256, (2, 7, 768)).float()
    normal = rows * embed.scale + embed.shift
    expected = embed.linear(torch.cat([normal, normal.square()], dim=-1))
    ours = embed(torch.cat([rows, rows.square()], dim=-1))
    torch.testing.assert_close(ours, expected, atol=2e-4, rtol=1e-4)


def test_strips_are_rows_of_pixels() -> None:
    """The second of four strips of a 16-pixel patch is its rows 4 to 7."""
    stem = StripStem(LlaSpec("s", 48, 3, 1, stem="strips"))
    patch = torch.randint(0, 256, (16, 16, 3)).float()
    before = stem.of_strip(patch.reshape(4, 192))
    patch[4:8] = 0
    changed = (stem.of_strip(patch.reshape(4, 192)) != before).any(-1)
    assert changed.tolist() == [False, True, False, False]


def test_one_map_gives_what_a_norm_and_projection_per_layer_give() -> None:
    """LayerNorm's affine folds into the projection: W(g * n + b) = (W g) n + W b."""
    shared = KeysAndValues(SMALL)
    tokens = torch.randn(2, 17, 48)
    keys, values = shared(tokens)
    layer, heads, width = 1, SMALL.heads, SMALL.width
    gain, offset = torch.rand(width) + 0.5, torch.randn(width)
    weight, bias = shared.linear.weight, shared.linear.bias
    key_rows = slice(layer * width, (layer + 1) * width)
    per_layer = nn.Linear(width, width)
    with torch.no_grad():
        per_layer.weight.copy_(weight[key_rows] / gain)
        per_layer.bias.copy_(bias[key_rows] - per_layer.weight @ offset)
    normal = nn.functional.layer_norm(tokens, (width,), gain, offset, 1e-6)
    expected = per_layer(normal).reshape(2, 17, heads, -1).permute(0, 2, 3, 1)
    torch.testing.assert_close(keys[layer], expected, atol=1e-4, rtol=1e-4)
    assert len(keys) == len(values) == SMALL.depth


def test_soft_shares_are_the_overlap(photo_batch: np.ndarray) -> None:
    """|S_k and P_n| / |P_n| (eq. 5): shares of a patch add up to one where no cell ties."""
    hard, soft = (
        build(LlaSpec("s", 48, 3, 1, pooling=pooling)).taps(torch.from_numpy(photo_batch))
        for pooling in ("hard", "soft")
    )
    shares = soft["membership"]
    cells = hard["assignment"].reshape(*shares.shape, 16)
    torch.testing.assert_close(shares, cells.mean(-1))
    assert ((shares.sum(1) - 1).abs() < 0.1).all()
    owner = hard["membership"].argmax(1)
    assert torch.equal(shares.argmax(1), owner), "hard pooling takes the largest share"


def test_writeback_attends_as_its_formula_says() -> None:
    block = WritebackBlock(SMALL)
    tokens, mask = torch.randn(2, 17, 48), torch.zeros(2, 1, 1, 17)
    mask[0, ..., 3] = -1e4
    q, k, v = (
        part.reshape(2, 17, 3, 16).transpose(1, 2)
        for part in block.query_key_value(block.norm_attention(tokens)).chunk(3, dim=-1)
    )
    gathered = (block.latents @ k.mT / 4 + mask).softmax(-1) @ v
    y = (q @ block.latents.mT / 4).softmax(-1) @ gathered
    after = tokens + block.output(y.transpose(1, 2).reshape(2, 17, 48))
    after = after + block.mlp(block.norm_mlp(after))
    ours = block(tokens.reshape(-1, 48), mask).reshape(2, 17, 48)
    torch.testing.assert_close(ours, after, atol=1e-5, rtol=1e-5)


def test_joint_latents_read_each_other() -> None:
    """With every token masked, what is left to read are the latents."""
    block = JointBlock(SMALL)
    latents, tokens = torch.randn(SMALL.latents, 48), torch.randn(1, 17, 48)
    mask = torch.zeros(1, 1, 1, 17 + SMALL.latents)
    mask[..., :17] = -1e4
    before = block(latents, tokens, mask)
    assert torch.equal(block(latents, tokens * 3 + 1, mask), before)
    changed = latents.clone()
    changed[0] += 1
    assert not torch.equal(block(changed, tokens, mask)[1:], before[1:])


def test_a_masked_token_changes_nothing() -> None:
    block = CarryBlock(SMALL)
    latents = torch.randn(2 * SMALL.latents, 48)
    keys, values = torch.randn(2, 3, 16, 17), torch.randn(2, 3, 17, 16)
    mask = torch.zeros(2, 1, 1, 17)
    mask[..., 4] = -1e4
    before = block(latents, keys, values, mask)
    keys[..., 4], values[:, :, 4] = 50.0, -50.0
    assert torch.equal(block(latents, keys, values, mask), before)


TINY = [n for n in MODELS if "tiny" in n and MODELS[n].spec.task == "classification"]
LARGER = [n for n in MODELS if "tiny" not in n and "base" not in n]
EVERY_KIND = ("lla_tiny", "lla_tiny_32", "vit_tiny_32", "lavit_tiny_32")


@pytest.mark.parametrize(
    "name", [*TINY, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGER)]
)
def test_a_batch_is_its_pictures(name: str, photos: list[np.ndarray]) -> None:
    module = build(shallow(name).spec).eval()
    pictures = torch.from_numpy(image_io.batch(photos, Preprocess(module.spec.image_px)))
    with torch.inference_mode():
        together = module(pictures)
        alone = torch.cat([module(p[None]) for p in pictures])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "value"), [*((name, 0) for name in TINY), *product(EVERY_KIND, (128, 255))]
)
def test_a_flat_picture_has_an_answer(name: str, value: int) -> None:
    module = build(shallow(name).spec).eval()
    size = module.spec.image_px
    picture = torch.full((1, size, size, 3), value, dtype=torch.uint8)
    assert torch.isfinite(module(picture)).all()


@pytest.mark.parametrize("name", TINY)
def test_a_black_picture_and_nan_pixels_do_not_disturb_the_others(
    name: str, photos: list[np.ndarray]
) -> None:
    module = build(shallow(name).spec).eval()
    pictures = image_io.batch(photos[:3], Preprocess(module.spec.image_px)).astype(np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(pictures))
        pictures[1] = 0
        pictures[2, :5] = np.nan
        pictures[2, 7:9] = np.inf
        pictures[2, 9:11] = -1e30
        answers = module(torch.from_numpy(pictures))
    assert torch.isfinite(answers).all()
    torch.testing.assert_close(answers[0], expected[0], atol=1e-4, rtol=1e-4)


def test_a_picture_of_nothing_but_nan_is_black() -> None:
    module = build(SMALL).eval()
    nothing = torch.full((1, 224, 224, 3), torch.nan)
    assert torch.equal(module(nothing), module(torch.zeros(1, 224, 224, 3)))


def test_uint8_and_float_pictures_are_the_same(photo_batch: np.ndarray) -> None:
    module = build(SMALL).eval()
    pictures = torch.from_numpy(photo_batch)
    assert torch.equal(module(pictures), module(pictures.float()))


def test_superpixels_stay_float32_under_autocast(photo_batch: np.ndarray) -> None:
    module = build(SMALL)
    patches = patch_rows(torch.from_numpy(photo_batch), 16)
    superpixels = module.tokens.superpixels
    exact = superpixels.pool(patches, superpixels.assign(patches))
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = superpixels.pool(patches, superpixels.assign(patches))
    for a, b in zip(exact, under_autocast, strict=True):
        assert torch.equal(a, b)


def test_every_parameter_learns(photo_batch: np.ndarray) -> None:
    options = (
        {},
        {"wiring": "joint"},
        {"wiring": "writeback"},
        {"pooling": "soft", "stem": "moments"},
    )
    for spec in (*(replace(SMALL, **option) for option in options), find("vit_tiny").spec):
        module = build(spec)
        module(torch.from_numpy(photo_batch[:2])).square().mean().backward()
        idle = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.any()]
        # The key bias shifts all scores of a query alike: softmax does not see it.
        assert idle == []

"""Checkpoints of timm and transformers: they answer as they did, or are refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.progress import SilentProgress
from edgevit.models.build import build
from edgevit.models.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from edgevit.models.classifier import Classifier
from edgevit.models.foreign.vit_weights import translated
from edgevit.models.transfer import start_from
from edgevit.zoo.input_options import InputOptions
from edgevit.zoo.interface.preprocess import IMAGENET_MEAN, IMAGENET_STD
from edgevit.zoo.registry import ModelEntry, find
from edgevit.zoo.spec import LlaSpec, VitSpec
from edgevit_export.convert.weights import Adaptation, load_model
from support.models.vit_state_dicts import (
    TIMM_DISTILLED_KEYS,
    TIMM_KEYS,
    TIMM_LAYER_SCALE_KEYS,
    as_timm,
    randomised,
)
from support.needs import needs_transformers

CLASSES = 5
# vit_tiny's own width, heads and patches; two blocks and small pictures are quick.
TINY = VitSpec("vit_tiny", 192, 3, 2, image_px=64, classes=CLASSES)
ENTRY = ModelEntry(TINY, "")
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def vit() -> Classifier:
    return randomised(build(TINY))


@pytest.fixture(scope="module")
def timm(vit: Classifier) -> dict[str, Tensor]:
    """The same weights as timm saves them."""
    return as_timm(vit)


@pytest.fixture(scope="module")
def timm_logits(vit: Classifier) -> Tensor:
    return logits_of(vit)


def logits_of(module: nn.Module) -> Tensor:
    with torch.inference_mode():
        answer: Tensor = module.eval()(torch.from_numpy(PICTURES))
    return answer


def normalised(mean: object = IMAGENET_MEAN, std: object = IMAGENET_STD) -> Tensor:
    """The pictures as other libraries take them: float32 [B, 3, H, W]."""
    seen = (PICTURES / 255 - np.array(mean)) / np.array(std)
    return torch.from_numpy(seen.transpose(0, 3, 1, 2).astype(np.float32))


def saved(tensors: dict[str, Any], folder: Path, wrap: Callable[[Any], Any] = lambda x: x) -> Path:
    path = folder / "w.pth"
    torch.save(wrap(tensors), path)
    return path


def loaded(path: Path, **options: Any) -> nn.Module:
    return load_model(ENTRY, path, **options).module


def transformers_model(
    kind: str, head: str = "ForImageClassification", **options: Any
) -> nn.Module:
    """A ViT of vit_tiny's shape with random weights."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        hidden_size=TINY.width,
        num_hidden_layers=TINY.depth,
        num_attention_heads=TINY.heads,
        intermediate_size=TINY.mlp_ratio * TINY.width,
        image_size=TINY.image_px,
        patch_size=TINY.patch_px,
        num_labels=CLASSES,
        **options,
    )
    torch.manual_seed(0)
    return randomised(getattr(transformers, kind + head)(config))


@needs_transformers
@pytest.mark.parametrize("kind", ["ViT", "DeiT"])
@pytest.mark.parametrize("form", ["safetensors", "state dict"])
def test_transformers_answers_are_ours(kind: str, form: str, tmp_path: Path) -> None:
    """As saved for the Hub, and as in memory: since version 5 the names differ."""
    theirs = transformers_model(kind)
    path = tmp_path / "model.safetensors"
    if form == "safetensors":
        theirs.save_pretrained(tmp_path)  # type: ignore[operator]
    else:
        path = saved(theirs.state_dict(), tmp_path)
    model = load_model(ENTRY, path)
    with torch.inference_mode():
        expected = theirs(normalised()).logits
    assert expected.std() > 0.1, "answers that are all alike prove nothing"
    torch.testing.assert_close(logits_of(model.module), expected, atol=1e-4, rtol=0)
    assert model.notes["weights"] == "named as in transformers"
    assert ("distillation" in model.notes) == (kind == "DeiT")


@needs_transformers
def test_a_distilled_deit_answers_by_both_heads(tmp_path: Path) -> None:
    theirs = transformers_model("DeiT", head="ForImageClassificationWithTeacher")
    model = load_model(ENTRY, saved(theirs.state_dict(), tmp_path))
    with torch.inference_mode():
        expected = theirs(normalised()).logits
    torch.testing.assert_close(logits_of(model.module), expected, atol=1e-4, rtol=0)
    assert model.module.spec.distilled
    assert model.notes["distillation"] == "both heads, averaged"


@needs_transformers
def test_another_normalisation_and_no_biases_of_queries(tmp_path: Path) -> None:
    """Most ViTs of the Hub were trained with a mean and a deviation of 0.5."""
    theirs = transformers_model("ViT", qkv_bias=False)
    path = saved(theirs.state_dict(), tmp_path)
    half = Adaptation(InputOptions(preprocess="inception"))
    with torch.inference_mode():
        expected = theirs(normalised(0.5, 0.5)).logits
    ours = logits_of(loaded(path, adaptation=half))
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)
    assert not torch.allclose(logits_of(loaded(path)), expected, atol=1e-2)


def test_timm_names_are_those_that_were_recorded(timm: dict[str, Tensor]) -> None:
    second = [key.replace("blocks.0.", "blocks.1.") for key in TIMM_KEYS if "blocks.0." in key]
    assert sorted(timm) == sorted([*TIMM_KEYS, *second])


WRAPPED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "bare": lambda state: state,
    "module.": lambda state: {f"module.{key}": value for key, value in state.items()},
    "model.": lambda state: {f"model.{key}": value for key, value in state.items()},
    "_orig_mod.": lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
    "all of them": lambda state: {f"module._orig_mod.model.{k}": v for k, v in state.items()},
    "state_dict": lambda state: {"state_dict": state, "epoch": 9, "arch": "vit_tiny_patch16_224"},
    "model": lambda state: {"model": state, "optimizer": {"state": {}}},
    "ema": lambda state: {"model": {k: v * 0 for k, v in state.items()}, "ema": state},
    "Lightning": lambda state: {"state_dict": {f"model.{k}": v for k, v in state.items()}},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_are_taken_off(
    name: str, timm: dict[str, Tensor], timm_logits: Tensor, tmp_path: Path
) -> None:
    module = loaded(saved(timm, tmp_path, WRAPPED[name]))
    torch.testing.assert_close(logits_of(module), timm_logits, atol=1e-5, rtol=0)


def test_wrappers_of_our_own_names_and_in_safetensors(tmp_path: Path) -> None:
    module = randomised(build(TINY))
    path = tmp_path / "w.safetensors"
    save_file({f"module.{key}": value for key, value in module.state_dict().items()}, path)
    torch.testing.assert_close(logits_of(loaded(path)), logits_of(module))


def test_a_prefix_of_only_some_names_stays(timm: dict[str, Tensor], tmp_path: Path) -> None:
    mixed = {("module." if "head" in key else "") + key: value for key, value in timm.items()}
    with pytest.raises(CheckpointError, match=r"no place for them \(module\.head\.weight"):
        loaded(saved(mixed, tmp_path))


def test_queries_keys_and_values_of_their_own(
    timm: dict[str, Tensor], timm_logits: Tensor, tmp_path: Path
) -> None:
    split = dict(timm)
    for key in [key for key in timm if ".attn.qkv." in key]:
        for letter, part in zip("qkv", split.pop(key).chunk(3), strict=True):
            split[key.replace("qkv", f"{letter}_proj")] = part
    module = loaded(saved(split, tmp_path))
    torch.testing.assert_close(logits_of(module), timm_logits, atol=1e-5, rtol=0)


def test_layer_scale_goes_into_the_weights(
    timm: dict[str, Tensor], timm_logits: Tensor, tmp_path: Path
) -> None:
    """g * (W x + b) with g = 2 is what W and b of half the size give without it."""
    scaled = dict(timm)
    for block in range(TINY.depth):
        for key, linear in zip(TIMM_LAYER_SCALE_KEYS, ("attn.proj", "mlp.fc2"), strict=True):
            scaled[key.replace("0", str(block), 1)] = torch.full((TINY.width,), 2.0)
            for kind in ("weight", "bias"):
                scaled[f"blocks.{block}.{linear}.{kind}"] = (
                    timm[f"blocks.{block}.{linear}.{kind}"] / 2
                )
    module = loaded(saved(scaled, tmp_path))
    torch.testing.assert_close(logits_of(module), timm_logits, atol=1e-5, rtol=0)


def test_positions_of_patches_alone(timm: dict[str, Tensor], tmp_path: Path) -> None:
    """timm's ``no_embed_class``: the class token has no position."""
    without = {**timm, "pos_embed": timm["pos_embed"][:, 1:]}
    zeroed = {**timm, "pos_embed": timm["pos_embed"].clone()}
    zeroed["pos_embed"][:, 0] = 0
    ours = logits_of(loaded(saved(without, tmp_path)))
    torch.testing.assert_close(ours, logits_of(loaded(saved(zeroed, tmp_path))))


def test_timms_distilled_deit(timm: dict[str, Tensor], tmp_path: Path) -> None:
    """Two equal heads on two equal tokens answer as one does."""
    token, weight, bias = TIMM_DISTILLED_KEYS
    places = timm["pos_embed"]
    twice = {
        **timm,
        token: timm["cls_token"],
        "pos_embed": torch.cat([places[:, :1], places], dim=1),
        weight: timm["head.weight"],
        bias: timm["head.bias"],
    }
    both = logits_of(loaded(saved(twice, tmp_path)))
    other = {**twice, weight: timm["head.weight"] * 3, bias: timm["head.bias"] * 3}
    torch.testing.assert_close(logits_of(loaded(saved(other, tmp_path))), 2 * both)
    del twice[token]
    with pytest.raises(CheckpointError, match="no such token"):
        loaded(saved(twice, tmp_path))


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("fc_norm.weight", r"averages the patches' tokens .* \(fc_norm\.weight\)"),
        ("reg_token", "has register tokens"),
        ("blocks.0.attn.q_norm.weight", "normalises queries and keys"),
        ("norm_pre.weight", "as CLIP does"),
        ("pre_logits.fc.weight", "hidden layer before its head"),
        ("blocks.0.attn.relative_position_bias_table", "rotary or relative positions"),
        ("blocks.0.attn.q_bias", "is a BEiT"),
        ("blocks.0.mlp.w12.weight", "SwiGLU"),
        ("patch_embed.backbone.stem.conv.weight", "hybrid"),
        ("unheard.of", "no place for them"),
    ],
)
def test_another_kind_of_vit_is_refused_with_the_reason(
    extra: str, reason: str, timm: dict[str, Tensor], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=reason) as caught:
        loaded(saved({**timm, extra: torch.zeros(4)}, tmp_path))
    assert "edgevit.export(module, example=...)" in str(caught.value)


def test_a_vit_without_a_class_token_is_refused(timm: dict[str, Tensor], tmp_path: Path) -> None:
    without = {key: value for key, value in timm.items() if key != "cls_token"}
    with pytest.raises(CheckpointError, match="no class token"):
        loaded(saved(without, tmp_path))


def test_another_shape_names_the_model_that_has_it(tmp_path: Path) -> None:
    small = find("vit_small").spec
    assert isinstance(small, VitSpec)
    state = {f"blocks.{n}.norm1.weight": torch.zeros(1) for n in range(small.depth)} | {
        "patch_embed.proj.weight": torch.zeros(small.width, 3, 16, 16),
        "cls_token": torch.ones(1),
    }
    with pytest.raises(CheckpointError, match=r"width 384, 12 blocks.*Use 'model' vit_small"):
        loaded(saved(state, tmp_path))
    state["patch_embed.proj.weight"] = torch.zeros(768, 3, 32, 32)
    with pytest.raises(CheckpointError, match=r"patches of 32 pixels; vit_tiny .*edgevit import"):
        loaded(saved(state, tmp_path))


def test_another_familys_model_is_refused(timm: dict[str, Tensor], tmp_path: Path) -> None:
    entry = ModelEntry(LlaSpec("small", 48, 3, 2, classes=CLASSES), "")
    with pytest.raises(CheckpointError, match=r"plain ViT, named as in timm.*'model' vit_tiny"):
        load_model(entry, saved(timm, tmp_path))


def test_a_backbone_is_a_start_for_training(timm: dict[str, Tensor], tmp_path: Path) -> None:
    backbone = {key: value for key, value in timm.items() if not key.startswith("head")}
    path = saved(backbone, tmp_path)
    with pytest.raises(CheckpointError, match=r"missing: head\.weight.*edgevit train --init"):
        loaded(path, classes=CLASSES)
    module = build(TINY)
    start_from(module, read_checkpoint(path), "w.pth", SilentProgress())
    assert torch.equal(module.state_dict()["cls"], timm["cls_token"])


def test_training_does_not_start_from_two_tokens(timm: dict[str, Tensor]) -> None:
    two = {**timm, "dist_token": timm["cls_token"]}
    with pytest.raises(CheckpointError, match="distillation token, and training has no loss"):
        start_from(build(TINY), Checkpoint(two), "w.pth", SilentProgress())


def test_positions_of_another_size(timm: dict[str, Tensor], tmp_path: Path) -> None:
    """Refused, exported at their own size, or interpolated because that was asked for."""
    larger = as_timm(randomised(build(TINY.at_size(96))))
    path = saved(larger, tmp_path)
    with pytest.raises(CheckpointError, match=r"6 x 6 patches.*96 pixels; vit_tiny has 4 x 4") as e:
        loaded(path)
    assert "'image_px' 96" in str(e.value)
    assert "'resample_positions'" in str(e.value)
    own_size = load_model(ModelEntry(TINY.at_size(96), ""), path)
    assert own_size.module.state_dict()["position"].shape == (1, 37, 192)
    fitted = loaded(path, adaptation=Adaptation(resample_positions=True)).state_dict()["position"]
    assert fitted.shape == (1, 17, 192)
    assert torch.equal(fitted[:, 0], larger["pos_embed"][:, 0]), "the class token's stays"


def test_what_is_no_vit_stays_as_it_is() -> None:
    checkpoint = Checkpoint(build(TINY).state_dict())
    assert translated(TINY, checkpoint, "w.pth") == (TINY, checkpoint)


def test_weights_say_how_their_pictures_were_prepared(tmp_path: Path) -> None:
    """What training was told is obeyed by export, unless the command line says otherwise."""
    from edgevit.models.checkpoint import input_notes, input_stated_in

    spec = InputOptions(preprocess="clip", resize="crop", crop_pct=0.9).applied_to(TINY)
    path = tmp_path / "w.safetensors"
    names = tuple("abcde")
    save_checkpoint(path, build(spec), TINY.name, names, input_notes(spec))
    model = load_model(ENTRY, path)
    assert model.module.spec.preprocess == spec.preprocess
    assert model.notes == {}
    assert input_stated_in(path).applied_to(TINY) == spec
    said = load_model(ENTRY, path, adaptation=Adaptation(InputOptions(preprocess="imagenet")))
    assert said.module.spec.mean == IMAGENET_MEAN
    assert said.module.spec.resize == "crop"
    for content in ("[]]", '{"mean": "x"}', '{"std": [0, 0, 0]}', '{"resize": "fold"}'):
        save_file(build(TINY).state_dict(), path, {"preprocess": content})
        with pytest.raises(InputError, match="its 'preprocess' is"):
            read_checkpoint(path)

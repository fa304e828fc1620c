"""Checkpoints: what fits is loaded, what does not is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgevit.common.errors import CheckpointError, InputError
from edgevit.models.build import build
from edgevit.models.checkpoint import load_into, read_checkpoint, save_checkpoint
from edgevit.zoo.registry import find
from edgevit.zoo.spec import LlaSpec
from edgevit_export.convert.weights import load_model

SPEC = LlaSpec("small", 48, 3, 2, classes=5)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in build(SPEC).state_dict().items()}


@pytest.mark.parametrize("form", ["safetensors", "pth", "wrapped pth"])
def test_round_trip(tmp_path: Path, state: dict[str, torch.Tensor], form: str) -> None:
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, path)
    else:
        torch.save({"model": state, "epoch": 3} if form == "wrapped pth" else state, path)
    module = build(SPEC)
    load_into(module, read_checkpoint(path), "w")
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())


def test_ours_name_their_model_and_classes(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, build(SPEC), "small", ("a", "b", "c", "d", "e"), {"val_top1": "0.5"})
    content = read_checkpoint(path)
    assert (content.model, content.classes) == ("small", ("a", "b", "c", "d", "e"))
    assert content.notes == {"val_top1": "0.5"}
    assert content.tensors["head.bias"].dtype == torch.float16


def test_every_misfit_is_named(state: dict[str, torch.Tensor]) -> None:
    del state["norm.weight"]
    state["stranger"] = torch.zeros(1)
    state["head.weight"] = torch.zeros(7, 48)
    from edgevit.models.checkpoint import Checkpoint

    with pytest.raises(CheckpointError) as caught:
        load_into(build(SPEC), Checkpoint(state), "w.pth")
    message = str(caught.value)
    assert "missing: norm.weight" in message
    assert "unexpected: stranger" in message
    assert "head.weight is [7, 48], expected [5, 48]" in message


def test_nan_weights_are_named(state: dict[str, torch.Tensor]) -> None:
    from edgevit.models.checkpoint import Checkpoint

    state["latents"][0, 0] = torch.nan
    with pytest.raises(CheckpointError, match=r"NaN or infinite values in: latents"):
        load_into(build(SPEC), Checkpoint(state), "w.pth")


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.complex64])
def test_what_are_no_floats_is_refused(state: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    from edgevit.models.checkpoint import Checkpoint

    state["norm.bias"] = state["norm.bias"].to(dtype)
    with pytest.raises(CheckpointError, match=f"norm.bias is {dtype}"):
        load_into(build(SPEC), Checkpoint(state), "w.pth")


def test_a_value_that_float32_cannot_hold_is_infinite(state: dict[str, torch.Tensor]) -> None:
    from edgevit.models.checkpoint import Checkpoint

    state["norm.bias"] = state["norm.bias"].double() + 1e300
    with pytest.raises(CheckpointError, match=r"infinite values in: norm\.bias"):
        load_into(build(SPEC), Checkpoint(state), "w.pth")


@pytest.mark.parametrize(
    "classes", ["[", "5", "null", '"abcde"', "[]", '["a", "a"]', '["a", ""]', "[1]"]
)
def test_class_names_in_a_file_are_checked(
    tmp_path: Path, state: dict[str, torch.Tensor], classes: str
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(state, path, {"classes": classes})
    with pytest.raises(CheckpointError, match="expected a JSON list of distinct names"):
        read_checkpoint(path)


def test_a_file_that_contradicts_itself(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "w.safetensors"
    save_file(state, path, {"classes": '["a", "b"]'})
    with pytest.raises(CheckpointError, match="names 2 classes, but its head has 5"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [{}, {5: torch.zeros(1)}, {"a": "b"}, [torch.zeros(1)], 7])
def test_a_pth_that_is_no_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"[Ee]xpected a state dict"):
        read_checkpoint(tmp_path / "w.pth")


class _Payload:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_a_pth_that_carries_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path, target = tmp_path / "w.pth", tmp_path / "owned"
    torch.save({"head.weight": _Payload(target)}, path)
    with pytest.raises(CheckpointError, match="cannot be read as plain weights"):
        read_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.pth", None, "No such checkpoint"),
        ("w.bin", b"x", "expected .safetensors, .pth or .pt"),
        ("w.safetensors", b"not a file of tensors", "not a safetensors file"),
        ("w.pth", b"not a zip", "cannot be read as plain weights"),
        ("empty.pth", b"", "cannot be read as plain weights"),
        ("text.pth", b"hello there", "cannot be read as plain weights"),
        ("odd.pth", b"\x80\x02(.", "cannot be read as plain weights"),
    ],
)
def test_what_is_no_checkpoint(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_the_head_tells_the_number_of_classes(tmp_path: Path) -> None:
    module = build(find("lla_tiny").spec.with_classes(7))
    torch.save(module.state_dict(), tmp_path / "w.pth")
    model = load_model(find("lla_tiny"), tmp_path / "w.pth")
    assert len(model.classes) == 7
    assert model.trained
    with pytest.raises(InputError, match=r"gives 8 classes, but the head .* has 7"):
        load_model(find("lla_tiny"), tmp_path / "w.pth", classes=8)


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, build(SPEC), "lla_small", tuple("abcde"), {})
    with pytest.raises(InputError, match="holds weights of 'lla_small', not of 'lla_tiny'"):
        load_model(find("lla_tiny"), path)


def test_untrained_weights_say_so_and_are_the_same_each_time() -> None:
    first, second = load_model(find("vit_tiny_32")), load_model(find("vit_tiny_32"))
    assert not first.trained
    assert "untrained" in first.source
    assert torch.equal(first.module.head.weight, second.module.head.weight)

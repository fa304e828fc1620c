"""Of the weights in a ``.pth`` file, the moving average is taken, and it is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgevit.common.errors import CheckpointError, InputError
from edgevit.models.build import build
from edgevit.models.checkpoint import load_into, read_checkpoint
from edgevit.training.average import averaged
from edgevit.training.state import RunState
from edgevit.zoo.registry import ModelEntry
from edgevit.zoo.spec import LlaSpec
from edgevit.zoo.trunk_spec import Convolution, InvertedResidual, TrunkSpec
from edgevit_export.convert.weights import load_model

TRUNK = TrunkSpec((Convolution(8, stride=4), InvertedResidual(24, 16, kernel=5, stride=4)))
SPEC = LlaSpec("small", 48, 3, 2, image_px=64, classes=3, stem="convolution", trunk=TRUNK)
CURRENT, AVERAGE = 0.25, 0.75


def state(value: float) -> dict[str, torch.Tensor]:
    """Weights that are all alike."""
    return {key: torch.full_like(tensor, value) for key, tensor in build(SPEC).state_dict().items()}


def of_averaged_model(value: float) -> dict[str, torch.Tensor]:
    """As torch's AveragedModel saves it."""
    weights = {f"module.{key}": tensor for key, tensor in state(value).items()}
    return {"n_averaged": torch.tensor(9), **weights}


CONTENTS = {
    "torchvision": {"model": state(CURRENT), "model_ema": of_averaged_model(AVERAGE), "epoch": 7},
    "DeiT": {"model": state(CURRENT), "model_ema": state(AVERAGE), "optimizer": {"state": {}}},
    "timm": {"state_dict": state(CURRENT), "state_dict_ema": state(AVERAGE), "arch": "x"},
    "nested": {"model": state(CURRENT), "ema": {"state_dict": state(AVERAGE)}},
    "bare": of_averaged_model(AVERAGE),
    "no average": {"model": state(AVERAGE), "model_ema": None},
    "an empty one": {"model": state(AVERAGE), "model_ema": {}},
}


@pytest.mark.parametrize("name", CONTENTS)
def test_the_average_is_taken(tmp_path: Path, name: str) -> None:
    torch.save(CONTENTS[name], tmp_path / "w.pth")
    module = build(SPEC)
    load_into(module, read_checkpoint(tmp_path / "w.pth"), "w.pth")
    assert torch.equal(module.latents, torch.full_like(module.latents, AVERAGE))


def test_it_is_said_which_was_taken(tmp_path: Path) -> None:
    torch.save(CONTENTS["torchvision"], tmp_path / "w.pth")
    model = load_model(ModelEntry(SPEC, ""), tmp_path / "w.pth", 3)
    assert model.source == "w.pth: model_ema (not model)"
    chosen = load_model(ModelEntry(SPEC, ""), tmp_path / "w.pth", 3, weights_key="model")
    assert chosen.source == "w.pth: model (not model_ema)"
    assert float(chosen.module.head.bias[0]) == CURRENT


def test_our_own_state_gives_its_average(tmp_path: Path) -> None:
    """What an interrupted run leaves; the average of BatchNorm's statistics too."""
    torch.manual_seed(0)
    module = build(SPEC).train()
    average = averaged(module, decay=0.5)
    for _ in range(3):
        module(torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8))
        with torch.no_grad():
            module.head.bias += 1
        average.update_parameters(module)
    run = RunState({"model": "small"}, model=module.state_dict(), average=average.state_dict())
    run.save(tmp_path)
    loaded = load_model(ModelEntry(SPEC, ""), tmp_path / "last.pt", 3)
    assert loaded.source == "last.pt: average (not model)"
    for key, expected in average.module.state_dict().items():
        if expected.is_floating_point():
            assert torch.equal(loaded.module.state_dict()[key], expected), key
    means = {k: v for k, v in average.module.state_dict().items() if k.endswith("running_mean")}
    current = module.state_dict()
    assert all(not torch.equal(mean, current[key]) for key, mean in means.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENTS["torchvision"], "no weights called 'ema'; it has model, model_ema"),
        (state(CURRENT), "it is one set of weights without a key"),
    ],
)
def test_a_key_that_is_not_there(tmp_path: Path, content: dict[str, object], message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "w.pth", "ema")


def test_a_key_needs_a_file_with_keys(tmp_path: Path) -> None:
    save_file(state(CURRENT), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="holds one set of weights"):
        read_checkpoint(tmp_path / "w.safetensors", "model")
    with pytest.raises(InputError, match="Give one"):
        load_model(ModelEntry(SPEC, ""), weights_key="model")

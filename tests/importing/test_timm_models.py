"""``--model timm:NAME``: with a stand-in for timm, and with timm itself where it imports."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import edgevit as library
from edgevit.common.errors import InputError, MissingExtraError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.workflows.export import export
from edgevit.zoo.interface.preprocess import Preprocess
from support import ROOT, Command
from support.needs import needs_timm

STAND_IN = ROOT / "tests" / "support" / "stand_ins"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts the stand-in where timm would be; called with what it should say."""

    def place(**config: Any) -> None:
        monkeypatch.setenv("EDGEVIT_STAND_IN_TIMM", json.dumps(config))
        monkeypatch.syspath_prepend(str(STAND_IN))
        for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
            monkeypatch.delitem(sys.modules, name)

    yield place
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        del sys.modules[name]


def test_timms_preprocessing_is_the_bundles(
    stand_in: Any, tmp_path: Path, photos: list[Image]
) -> None:
    stand_in()
    target = tmp_path / "t.edgevit"
    with library.export("timm:stand_in_net.made_up", target, classes=list("abcd")) as model:
        manifest = model.bundle.manifest
        got = np.stack([found.probabilities for found in model(photos)])
    prepared = manifest.preprocess
    assert (prepared.resize, prepared.crop_pct, prepared.size_px) == ("crop", 0.9, 32)
    assert prepared.mean == pytest.approx((0.5, 0.25, 0.125))
    assert prepared.std == pytest.approx((0.5, 0.25, 0.5))
    assert manifest.model.name == "stand_in_net.made_up"
    assert manifest.model.weights == "timm:stand_in_net.made_up, pretrained"
    assert "bicubic" in manifest.model.notes["interpolation"]
    from timm import StandInNet  # the stand-in

    seen = image_io.batch(photos, Preprocess(32, "crop", crop_pct=0.9)) / 255
    seen = ((seen - prepared.mean) / prepared.std).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.inference_mode():
        expected = StandInNet(4)(torch.from_numpy(seen)).softmax(1).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_what_is_said_goes_before_what_timm_says(
    stand_in: Any, tmp_path: Path, edgevit: Command
) -> None:
    """Weights of one's own too; classes that nobody named are numbered."""
    stand_in(without_weights=True, data={"crop_mode": "border"})
    from timm import create_model

    weights = tmp_path / "w.pth"
    torch.save({"state_dict": create_model("stand_in_net", num_classes=3).state_dict()}, weights)
    options = ("--model", "timm:stand_in_net", "-o", tmp_path / "t.edgevit", "--json")
    refused = edgevit("export", *options)
    assert refused.code == 2
    assert "No pretrained weights exist" in refused.one_message
    refused = edgevit("export", *options, "--checkpoint", weights)
    assert "crop_mode 'border'" in refused.err
    said = ("--checkpoint", weights, "--resize", "squash", "--preprocess", "clip")
    ended = edgevit("export", *options, *said)
    assert ended.code == 0, ended.err
    manifest = json.loads(ended.out)
    assert manifest["preprocess"]["resize"] == "squash"
    assert manifest["preprocess"]["mean"][0] == pytest.approx(0.48145466)
    assert manifest["classes"] == ["0", "1", "2"]
    assert manifest["model"]["weights"] == "timm:stand_in_net, w.pth"


def test_equal_names_of_classes_are_told_apart(stand_in: Any) -> None:
    from edgevit.workflows.importing.timm_model import _class_names

    stand_in()
    from timm import create_model, data

    names = _class_names(data, create_model("stand_in_net", num_classes=1000))
    assert isinstance(names, list)
    assert names[997:] == ["thing 997", "thing 998 (n00000998)", "thing 998 (n00000999)"]


@pytest.mark.parametrize(
    ("config", "model", "options", "message"),
    [
        ({}, "timm:stand_in_met", {}, r"no model 'stand_in_met'\. Did you mean stand_in_net"),
        ({"data": {"input_size": [1, 28, 28]}}, "timm:stand_in_net", {}, "1 channels, 28 x 28"),
        ({"data": {"crop_mode": "squash"}}, "timm:stand_in_net", {}, "crop_mode 'squash'"),
        ({"broken": True}, "timm:stand_in_net", {}, r"torchvision::nms.*pip.* install .*timm"),
        ({}, "timm:stand_in_net", {"half_storage": True}, "fp16_storage. is for models of the"),
    ],
)
def test_what_cannot_be_done_is_said(
    config: dict[str, Any],
    model: str,
    options: dict[str, Any],
    message: str,
    stand_in: Any,
    tmp_path: Path,
) -> None:
    stand_in(**config)
    with pytest.raises(InputError, match=message):
        export(model, tmp_path / "t.edgevit", **options)
    assert not (tmp_path / "t.edgevit").exists()


def test_without_timm_the_command_that_installs_it_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from edgevit.common import libraries

    monkeypatch.setattr(libraries, "is_installed", lambda module: module != "timm")
    with pytest.raises(MissingExtraError, match=r"'timm', which is not installed.*install .*timm"):
        export("timm:resnet18", tmp_path / "t.edgevit")


@needs_timm
def test_timm_itself(tmp_path: Path, photos: list[Image]) -> None:
    """Its own network with random weights answers as the bundle does, behind its own transform."""
    import timm

    name = "vit_tiny_patch16_224"
    weights = tmp_path / "w.pth"
    network = timm.create_model(name, pretrained=False, num_classes=5).eval()
    torch.save(network.state_dict(), weights)
    with library.export(f"timm:{name}", tmp_path / "t.edgevit", checkpoint=weights) as model:
        prepared = model.bundle.manifest.preprocess
        config = timm.data.resolve_model_data_config(network)
        assert prepared.mean == pytest.approx(config["mean"])
        assert prepared.crop_pct == config["crop_pct"]
        got = np.stack([found.probabilities for found in model(photos)])
    seen = image_io.batch(photos, prepared) / 255
    seen = ((seen - prepared.mean) / prepared.std).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(seen)).softmax(1).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-4)
    with library.export("vit_tiny", tmp_path / "z.edgevit", checkpoint=weights) as ours:
        assert ours.bundle.manifest.model.notes["weights"] == "named as in timm"

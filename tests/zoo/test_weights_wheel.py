"""A device's wheel has no training weights: they are looked for in the wheel edgevit-weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.common.errors import CheckpointError
from edgevit.models import checkpoint
from edgevit.models.checkpoint import read_checkpoint
from edgevit.zoo import registry
from edgevit.zoo.registry import WEIGHTS_PACKAGE, find


@pytest.fixture
def device_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The zoo's folder as a device's wheel has it."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    for module in (registry, checkpoint):
        monkeypatch.setattr(module, "ZOO", folder)
    return folder


def test_weights_are_found_in_their_own_wheel(
    device_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "site" / WEIGHTS_PACKAGE / "lla_micro.tiny_imagenet.safetensors"
    shipped.parent.mkdir(parents=True)
    shipped.touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert find("lla_micro").weights == shipped


def test_without_them_the_error_says_where_they_are(device_zoo: Path) -> None:
    weights = find("lla_micro").weights
    assert weights == device_zoo / "lla_micro.tiny_imagenet.safetensors"
    with pytest.raises(CheckpointError, match="edgevit-weights, which 'make wheels' writes"):
        read_checkpoint(weights)

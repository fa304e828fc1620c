"""Every command of docs/checkpoints.md that needs no timm runs, on weights of transformers."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from edgevit.bundle.bundle import Bundle
from edgevit.models.build import build
from edgevit.zoo.registry import find
from support import ROOT, Command
from support.models.vit_state_dicts import as_timm, randomised
from support.needs import needs_transformers

PAGE = (ROOT / "docs" / "checkpoints.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the page speaks of."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(hidden_size=192, num_attention_heads=3, intermediate_size=768, num_labels=7)
    ViTForImageClassification(config).save_pretrained(tmp_path)
    spec = find("vit_tiny").spec.with_classes(7)
    torch.save({"state_dict": as_timm(randomised(build(spec)))}, tmp_path / "checkpoint.pth")
    larger = as_timm(randomised(build(spec.at_size(256))))
    torch.save(larger, tmp_path / "larger.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@needs_transformers
def test_the_commands_work_one_after_the_other(place: Path, edgevit: Command) -> None:
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        ended = edgevit(*shlex.split(command)[1:])
        assert ended.code == 0, f"{command}\n{ended.err}"
    prepared = {
        name: Bundle.open(place / f"{name}.edgevit").manifest.preprocess
        for name in ("hub", "timm", "larger", "resampled")
    }
    assert prepared["hub"].mean == (0.5, 0.5, 0.5)
    assert (prepared["timm"].resize, prepared["timm"].crop_pct) == ("crop", 0.9)
    assert (prepared["larger"].size_px, prepared["resampled"].size_px) == (256, 224)

"""``make train-zoo``: every step starts from the one before, and what is done stays done."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from support import ROOT, python

SCRIPT = ROOT / "benchmarks" / "training" / "train_zoo.py"


@pytest.mark.slow
def test_a_step_is_done_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("acorn", "pizza"):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            for number in range(3):
                picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                cv2.imwrite(str(folder / f"{number}.png"), picture)
    options = ("--tiny-imagenet", tmp_path / "data", "--output", tmp_path / "zoo", "--epochs", 1)
    only = ("--only", "lla_micro", "--no-teacher")
    first = python(SCRIPT, *options, *only)
    assert first.code == 0, first.err
    run = tmp_path / "zoo" / "lla_micro.200"
    assert (run / "lla_micro.safetensors").is_file()
    written = (run / "last.pt").read_bytes()
    second = python(SCRIPT, *options, *only)
    assert second.code == 0, second.err
    assert "done before" in second.out
    assert (run / "last.pt").read_bytes() == written


def test_data_that_is_not_there_is_said(tmp_path: Path) -> None:
    ended = python(SCRIPT, "--imagenette", tmp_path / "none", "--output", tmp_path / "zoo")
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in ended.err

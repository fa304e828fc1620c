"""--dry-run checks, says what would be done, and does nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support import Command
from support.zoo import float_copy


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return float_copy(tmp_path / "mine.edgevit")


def _planned(edgevit: Command, *arguments: object) -> dict[str, Any]:
    ended = edgevit(*arguments, "--dry-run", "--json")
    assert ended.code == 0, ended.err
    planned = dict(json.loads(ended.out))
    assert planned["dry_run"] is True
    return planned


def _files(folder: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*")}


def test_train(class_folder: Path, tmp_path: Path, edgevit: Command) -> None:
    run = tmp_path / "run"
    options = ("--data", class_folder, "--output", run, "--epochs", 3, "--init", "lla_tiny")
    planned = _planned(edgevit, "train", *options)
    assert planned["epochs"].startswith("3, ")
    assert planned["start"].endswith(".safetensors")
    assert not run.exists()
    refused = edgevit("train", "--data", "nowhere", "--dry-run")
    assert (refused.code, "is not a folder" in refused.one_message) == (2, True)


def test_quantize(answered: Path, bundle: Path, edgevit: Command) -> None:
    before = _files(bundle)
    options = ("--data", answered / "train", "--val-data", answered / "val", "--count", 24)
    planned = _planned(edgevit, "quantize", bundle, *options, "--target", "openvino")
    assert planned["variants"] == "onnx-int8-openvino, onnx-fp16"
    assert planned["calibration_images"] == "24"
    assert planned["evaluation_images"] == "48"
    assert _files(bundle) == before


def test_compile(bundle: Path, edgevit: Command) -> None:
    before = _files(bundle)
    target = ("compile", bundle, "--target", "native")
    assert _planned(edgevit, *target)["work"] == "compile: it was not in the bundle"
    int8 = _planned(edgevit, *target, "--precision", "int8", "--data", "images")
    assert int8["variants"] == "native-int8"
    assert "make the int8 form that the bundle lacks" in int8["work"]
    assert edgevit(*target, "--precision", "int8", "--dry-run").code == 2
    assert "native-int8" in _planned(edgevit, "compile", bundle, "--target", "auto")["variants"]
    assert _files(bundle) == before


def test_export(bundle: Path, tmp_path: Path, edgevit: Command) -> None:
    planned = _planned(edgevit, "export", "--output", tmp_path / "new.edgevit")
    assert planned["model"] == "lla_tiny"
    assert not (tmp_path / "new.edgevit").exists()
    assert edgevit("export", "--output", bundle, "--dry-run").code == 2
    assert "nothing was" in edgevit("export", "--output", tmp_path / "x", "--dry-run").out

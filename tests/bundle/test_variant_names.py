"""Variants of older bundles go by the names of today."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.variant_names import compile_options, current_name, with_current_names
from edgevit.common.errors import BundleError
from support import Command

FILE = "model.int8-openvino.onnx"


@pytest.fixture
def older(lla_bundle: Path, tmp_path: Path) -> Path:
    """A bundle as edgevit 0.1 wrote it: an INT8 form, chosen here and compiled from."""
    path = tmp_path / "older.edgevit"
    shutil.copytree(lla_bundle, path)
    shutil.copy(path / "model.onnx", path / FILE)
    content: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    content["files"][FILE] = content["files"]["model.onnx"]
    form = {**content["variants"]["float"], "file": FILE}
    content["variants"]["int8-openvino"] = form
    build = {"source": "int8-openvino", "source_sha256": content["files"][FILE]["sha256"]}
    content["variants"]["openvino-int8"] = {**form, "build": build}
    content["chosen"] = {"onnxruntime-x86": "int8-openvino"}
    table = [{"variant": "int8-openvino"}]
    choice = {"variant": "int8-openvino", "threads": 1, "table": table, "measured": "then"}
    content["machines"] = {"a machine": choice}
    (path / "manifest.json").write_text(json.dumps(content))
    return path


def test_an_older_bundle_opens_under_the_names_of_today(older: Path) -> None:
    manifest = Bundle.open(older).manifest
    assert set(manifest.variants) == {"float", "onnx-int8-openvino", "openvino-int8"}
    build = manifest.variants["openvino-int8"].build
    assert build is not None
    assert build.source == "onnx-int8-openvino"
    assert manifest.chosen == {"onnxruntime-x86": "onnx-int8-openvino"}
    choice = manifest.machines["a machine"]
    assert choice.variant == choice.table[0]["variant"] == "onnx-int8-openvino"


def test_a_former_name_is_understood_with_a_warning(
    older: Path, photo_folder: Path, edgevit: Command
) -> None:
    photo = photo_folder / "photo0.png"
    ended = edgevit("run", older, photo, "--variant", "int8-openvino", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["variant"] == "onnx-int8-openvino"
    (warning,) = ended.err.splitlines()
    assert "variant int8-openvino is called onnx-int8-openvino now" in warning


def test_what_is_missing_but_can_be_compiled_says_how(lla_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"compile .* --target native --precision int8$"):
        Bundle.open(lla_bundle).entry("native-int8")


def test_names() -> None:
    assert current_name("half") == "onnx-fp16"
    assert current_name("int8-onnxruntime-x86-avx2") == "onnx-int8-x86-avx2"
    assert current_name("int8-mine") == "int8-mine"
    options = "--target onnxruntime --precision fp16 --provider cuda"
    assert compile_options("onnxruntime-cuda-fp16") == options
    assert compile_options("onnx-fp16") is None


def test_a_malformed_manifest_is_left_for_its_reader() -> None:
    content = {"variants": {"half": {"build": 3}}, "chosen": [], "machines": {"x": 1}}
    assert with_current_names(content) == {**content, "variants": {"onnx-fp16": {"build": 3}}}
    both = {"variants": {"half": {}, "onnx-fp16": {}}}
    assert with_current_names(both) == both
    assert with_current_names({"variants": 1}) == {"variants": 1}

"""From a float bundle to an INT8 engine file on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevit.bundle.bundle import Bundle
from edgevit_runtimes.backends.open_model import open_variant
from support import Command
from support.needs import needs_native_engine
from support.zoo import float_copy


@needs_native_engine
@pytest.mark.slow
def test_quantized_in_the_engine_and_compiled(
    answered: Path, tmp_path: Path, edgevit: Command
) -> None:
    path = float_copy(tmp_path / "mine.edgevit")
    data = ("--data", answered / "train", "--val-data", answered / "val", "--count", "8")
    ended = edgevit(
        *("quantize", path, *data, "--target", "native", "--calibration-method", "minmax")
    )
    assert ended.code == 0, ended.err
    report = Bundle.open(path).manifest.variants["onnx-int8-native"].report
    assert report["accuracy_from"] == "this machine's runtime"
    ended = edgevit("compile", path, "--target", "native", "--precision", "int8", "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert content["build"]["source"] == "onnx-int8-native"
    bundle = Bundle.open(path)
    with open_variant(bundle, "native-int8") as runner:
        answers = runner.infer({"image": bundle.reference().images[:1]})
    assert answers["logits"].shape == (1, 200)

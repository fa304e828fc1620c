"""TensorRT-RTX's real parser and builder take what we write; no GPU is needed, none is used."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgevit.errors import CheckFailedError, InputError, MissingExtraError
from edgevit.registry import MODELS
from edgevit_export.engines import tensorrt
from support import ROOT, python

needs_rtx = pytest.mark.skipif(
    tensorrt.find_spec("tensorrt_rtx") is None, reason='needs pip install "edgevit[tensorrt]"'
)


def builds(*arguments: object) -> list[dict[str, object]]:
    ended = python(ROOT / "benchmarks" / "tensorrt_builds.py", *arguments, "--json")
    assert ended.code == 0, ended.err + ended.out
    rows: list[dict[str, object]] = json.loads(ended.out)
    return rows


@needs_rtx
def test_both_families_build_in_every_precision() -> None:
    rows = builds("--model", "lla_tiny", "lavit_tiny", "--capability", "8.6")
    assert len(rows) == 6
    sizes = {(row["model"], row["precision"]): row["engine_mib"] for row in rows}
    for model in ("lla_tiny", "lavit_tiny"):
        assert sizes[model, "fp16"] < 0.7 * sizes[model, "fp32"]
        assert sizes[model, "int8"] < 0.7 * sizes[model, "fp32"]


@needs_rtx
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_model_builds_for_every_capability(name: str) -> None:
    assert len(builds("--model", name, "--capability", *tensorrt.AHEAD_OF_TIME)) == 12


@needs_rtx
def test_an_op_that_it_cannot_take_is_named(tmp_path: Path) -> None:
    node = helper.make_node("NoSuchOp", ["image"], ["logits"], name="odd_layer", domain="nobody")
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])
        for name in ("image", "logits")
    ]
    graph = helper.make_graph([node], "odd", value[:1], value[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("nobody", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "odd.onnx")
    with pytest.raises(CheckFailedError, match="odd_layer"):
        tensorrt.build_engine(tmp_path / "odd.onnx", "8.6")


@pytest.mark.parametrize("capability", ["7.5", "8.7", "9.0", "x"])
def test_a_capability_that_it_does_not_build_for(capability: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does for 8\.0, 8\.6, 8\.9, 12\.0"):
        tensorrt.build_engine(tmp_path / "model.onnx", capability)


def test_without_tensorrt_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r'pip install "edgevit\[tensorrt\]"'):
        tensorrt.find_tensorrt(ahead_of_time=True)

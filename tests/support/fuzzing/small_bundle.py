"""A bundle of some kilobytes with a model of every part that models have, made in a moment."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from edgevit.bundle.bundle import Bundle, Manifest, ModelInfo, Variant
from edgevit.bundle.edit import seal
from edgevit.bundle.manifest import MANIFEST_FILE
from edgevit.bundle.reference import Reference, write_reference
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import IMAGE_INPUT, LOGITS, TensorSpec

SIDE_PX = 8
CLASSES = ("cat", "dog", "owl")
_DOMAIN = "edgevit"


def small_model(quantized: bool = False) -> onnx.ModelProto:
    """uint8 [1, 8, 8, 3] to logits [1, 3]: a local function, a convolution, a condition.

    Args:
        quantized: its last product takes INT8 weights that are dequantized.
    """
    rng = np.random.default_rng(0)
    weights: dict[str, np.ndarray[Any, Any]] = {
        "kernel": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "offset": np.zeros(4, np.float32),
        "rows": np.asarray([1, -1], np.int64),
        "scale": np.asarray(0.01, np.float32),
        "zero": np.asarray(0, np.int8),
    }
    matrix = rng.normal(size=(4 * (SIDE_PX - 2) ** 2, 3)).astype(np.float32)
    weights["matrix"] = (matrix * 50).round().clip(-127, 127).astype(np.int8)
    if not quantized:
        weights["matrix"] = matrix
    product = "matrix.float" if quantized else "matrix"
    nodes = [
        helper.make_node("Cast", [IMAGE_INPUT], ["pixels"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Normalise", ["pixels"], ["normal"], "normalise", domain=_DOMAIN),
        helper.make_node("Transpose", ["normal"], ["planes"], "planes", perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv", ["planes", "kernel", "offset"], ["seen"], "stem.conv", kernel_shape=[3, 3]
        ),
        helper.make_node("Relu", ["seen"], ["positive"], "stem.relu"),
        helper.make_node("Reshape", ["positive", "rows"], ["flat"], "flat"),
        *(
            [helper.make_node("DequantizeLinear", ["matrix", "scale", "zero"], [product], "widen")]
            if quantized
            else []
        ),
        helper.make_node("MatMul", ["flat", product], [LOGITS], "head.product"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(IMAGE_INPUT, TensorProto.UINT8, [1, SIDE_PX, SIDE_PX, 3])],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, len(CLASSES)])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_DOMAIN, 1)]
    model = helper.make_model(
        graph, opset_imports=opsets, functions=[_normalise()], ir_version=10, producer_name="tests"
    )
    onnx.checker.check_model(model)
    return model


def _normalise() -> onnx.FunctionProto:
    nodes = [
        helper.make_node("Constant", [], ["whole"], value_float=255.0),
        helper.make_node("Div", ["pixels", "whole"], ["normal"]),
    ]
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_function(_DOMAIN, "Normalise", ["pixels"], ["normal"], nodes, opsets)


def small_bundle(path: Path, classes: tuple[str, ...] = CLASSES) -> Bundle:
    """Float and INT8, with a reference of two pictures and names for three classes."""
    path.mkdir(parents=True)
    models = {"model.onnx": small_model(), "model.int8.onnx": small_model(quantized=True)}
    for name, model in models.items():
        onnx.save(model, path / name)
    pictures = np.random.default_rng(1).integers(0, 256, (2, SIDE_PX, SIDE_PX, 3), np.uint8)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(models["model.onnx"].SerializeToString(), options)
    answers = [session.run([LOGITS], {IMAGE_INPUT: picture[None]})[0] for picture in pictures]
    write_reference(path, Reference(pictures, {LOGITS: np.concatenate(answers)}))
    seal(path, _manifest(classes))
    return Bundle.open(path)


def _manifest(classes: tuple[str, ...]) -> Manifest:
    return Manifest(
        model=ModelInfo("small", "vit", 1000, 10_000, True, "tests", None, {}, {}),
        inputs=(TensorSpec(IMAGE_INPUT, "uint8", (1, SIDE_PX, SIDE_PX, 3)),),
        outputs=(TensorSpec(LOGITS, "float32", (1, len(CLASSES))),),
        preprocess=Preprocess(SIDE_PX),
        classes=classes,
        variants={
            "float": Variant("model.onnx", "float32", "float32"),
            "int8": Variant("model.int8.onnx", "int8", "int8"),
        },
        versions={"onnx": onnx.__version__},
        parity={},
        superpixel_map=None,
        created="2026-01-01T00:00:00+00:00",
    )


def put_file(bundle: Path, name: str, content: bytes) -> None:
    """Replaces a file of a bundle, and its hash and size in the manifest."""
    (bundle / name).write_bytes(content)
    manifest = json.loads((bundle / MANIFEST_FILE).read_text())
    fact = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest["files"][name] = fact
    (bundle / MANIFEST_FILE).write_text(json.dumps(manifest))

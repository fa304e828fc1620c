"""Small ONNX classifiers as other people's exporters write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE_PX, CLASSES = 32, 5
_WIDTH = 8


def small_classifier(
    *,
    layout: str = "nchw",
    dtype: int = TensorProto.FLOAT,
    shape: Sequence[int | str] | None = None,
    end: Sequence[str] = (),
    classes: int = CLASSES,
    opset: int = 18,
    extra_nodes: Sequence[onnx.NodeProto] = (),
    extra_outputs: Sequence[str] = (),
    extra_inputs: Sequence[str] = (),
    flat: bool = True,
) -> onnx.ModelProto:
    """conv, relu, mean, 1x1 conv: ``x`` to ``y``, [B, classes], or [B, classes, 1, 1] if not flat.

    Args:
        shape: of the input, by default [B, 3, 32, 32] of the layout, B being dynamic.
        end: ops of one input and one output behind it, such as Softmax.
        extra_nodes: of ``features``, [B, 8, H, W], and ``y``; extra_outputs: that they make.
    """
    rng = np.random.default_rng(1)
    usual = ("N", 3, SIZE_PX, SIZE_PX) if layout == "nchw" else ("N", SIZE_PX, SIZE_PX, 3)
    nodes, fed = [], "x"
    if dtype == TensorProto.UINT8:
        nodes += [helper.make_node("Cast", [fed], ["as_float"], to=TensorProto.FLOAT)]
        nodes += [helper.make_node("Mul", ["as_float", "scale"], ["scaled"])]
        fed = "scaled"
    if layout == "nhwc":
        nodes += [helper.make_node("Transpose", [fed], ["planes"], perm=[0, 3, 1, 2])]
        fed = "planes"
    nodes += [
        helper.make_node("Conv", [fed, "stem.weight"], ["conv"], strides=[4, 4]),
        helper.make_node("Relu", ["conv"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["mean"]),
        helper.make_node("Conv", ["mean", "head.weight", "head.bias"], ["map"]),
    ]
    last = "map"
    if flat:
        nodes += [helper.make_node("Flatten", [last], ["flat"])]
        last = "flat"
    for number, op in enumerate(end):
        nodes += [helper.make_node(op, [last], [f"end{number}"])]
        last = f"end{number}"
    nodes += [helper.make_node("Identity", [last], ["y"]), *extra_nodes]
    weights = {
        "stem.weight": rng.normal(0, 0.3, (_WIDTH, 3, 4, 4)),
        "head.weight": rng.normal(0, 2, (classes, _WIDTH, 1, 1)),
        "head.bias": rng.normal(0, 1, classes),
        "scale": np.asarray(1 / 255),
    }
    floats = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in extra_outputs
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("x", dtype, list(shape or usual)),
            *(helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in extra_inputs),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None), *floats],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    domains = {node.domain for node in nodes if node.domain}
    opsets += [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 20 else 10)


def save(model: onnx.ModelProto, folder: Path, name: str = "my.onnx") -> Path:
    onnx.save(model, folder / name)
    return folder / name

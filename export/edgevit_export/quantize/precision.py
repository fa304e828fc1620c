"""In which precision a file computes each of its layers."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto

from edgevit.inference.node_names import layer_of
from edgevit_export.convert.read_onnx import read_onnx, understood

_WEIGHT_TYPES = {
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8 (stored as uint8)",
    TensorProto.FLOAT16: "float16",
    TensorProto.FLOAT: "float32",
}
_PRODUCTS = ("Gemm", "MatMul", "MatMulIntegerToFloat", "Conv")
_LEAST_WEIGHTS = 1000


def layer_precisions(file: Path) -> dict[str, str]:
    """Every product with a constant matrix, by its layer: the precision of its weights.

    Raises:
        DamagedError: it is no ONNX model, or one that contradicts itself.
    """
    with understood(file):
        return _precisions(read_onnx(file).graph)


def _precisions(graph: onnx.GraphProto) -> dict[str, str]:
    types = {w.name: w.data_type for w in graph.initializer if _size(w) >= _LEAST_WEIGHTS}
    for node in graph.node:  # what is cast or dequantized is stored as its input is
        if node.op_type in ("DequantizeLinear", "Cast") and node.input[0] in types:
            types[node.output[0]] = types[node.input[0]]
    found = {}
    for node in graph.node:
        if node.op_type in _PRODUCTS and node.input[1] in types:
            found[layer_of(node.output[0])] = _WEIGHT_TYPES.get(types[node.input[1]], "other")
    return found


def _size(weight: onnx.TensorProto) -> int:
    size = 1
    for dimension in weight.dims:
        size *= dimension
    return size

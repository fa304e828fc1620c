"""How much a model computes and reads, node by node: from its graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import onnx
from onnx import inliner

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle
from edgevit_export.convert.read_onnx import read_onnx, understood


@dataclass(frozen=True)
class Work:
    """One product for one inference. weights: numbers in its constant operand, or 0."""

    name: str
    macs: int
    weights: int


def product_work(bundle: Bundle) -> list[Work]:
    """Every matrix product and convolution of the float model; a dynamic batch counts as 1.

    Raises:
        DamagedError: the model cannot be read, or contradicts itself.
    """
    file = bundle.variant(FLOAT_VARIANT)
    with understood(file):
        return products_of(read_onnx(file))


def products_of(model: onnx.ModelProto) -> list[Work]:
    """The same of a model; a product whose shapes cannot be inferred is left out.

    Raises:
        Exception: what ``onnx`` raises for a model that contradicts itself.
    """
    inlined = inliner.inline_local_functions(model)
    return _products(onnx.shape_inference.infer_shapes(inlined, data_prop=True).graph)


def _products(graph: onnx.GraphProto) -> list[Work]:
    shapes = {
        value.name: [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    constants = _constants(graph)
    shapes |= constants
    return [
        _work(node, shapes, constants)
        for node in graph.node
        if node.op_type in ("Gemm", "MatMul", "Conv")
        and all(shapes.get(name) for name in (node.output[0], *node.input[:2]))
    ]


def _constants(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """Shapes of what does not depend on the picture: weights, and weights that are only cast."""
    found = {weight.name: list(weight.dims) for weight in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = list(node.attribute[0].t.dims)
        elif node.op_type == "Cast" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _work(
    node: onnx.NodeProto, shapes: Mapping[str, list[int]], constants: Mapping[str, list[int]]
) -> Work:
    result, first, second = (shapes[n] for n in (node.output[0], *node.input[:2]))
    inner = prod(second[1:]) if node.op_type == "Conv" else first[-1]
    operands = [constants[name] for name in node.input[:2] if name in constants]
    return Work(node.name, prod(result) * inner, sum(map(prod, operands)))

"""The matrix products of a model that can be quantized, and how to put something in their place.

A product is a Gemm or MatMul with a constant matrix: every linear layer, and every patch embedding,
which is a product of patch rows here and no convolution. A convolution is one too, of the squares
of a map with a matrix, for the schemes that can write it. Products inside the custom ops' bodies
are not seen, so superpixels stay float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgevit.common.errors import InputError
from edgevit.inference.node_names import SEPARATOR, layer_of
from edgevit_export.convert.graph import copy_of, drop_unused_weights, set_items

# Smaller products (the place of a centroid: 2 rows) gain nothing.
_LEAST_INPUTS = 16


@dataclass(frozen=True)
class Product:
    """y = x W + b.

    name: of the layer, such as ``blocks.3.mlp.0``. source, result: tensors x [.., K] and y [.., N];
    of a convolution, maps [B, C, H, W].
    weight: float32 [K, N]. bias: float32 [N], or None.
    convolution: the attributes of a Conv node; None for a Gemm or MatMul. kernel: the shape of its
    weight, [N, C / groups, k, k].
    """

    name: str
    source: str
    result: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    convolution: Mapping[str, Any] | None = None
    kernel: tuple[int, ...] = ()

    @property
    def rows_of_source(self) -> float:
        """Rows that are multiplied for every row (place of a map) of the source."""
        strides = (self.convolution or {}).get("strides", ())
        return 1 / prod(strides)

    def as_kernel(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """A matrix [K, N] in the form of the convolution's weight."""
        return matrix.T.reshape(self.kernel)


class Rewritten:
    """New nodes and constants in the place of one product, named by its layer: ``LAYER/Op``."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        *outputs: str,
        domain: str = "",
        **options: Any,
    ) -> str:
        """Adds a node and gives its first output."""
        of_this_op = sum(node.op_type == op for node in self.nodes)
        number = f"_{of_this_op + 1}" if of_this_op else ""
        name = f"{self.layer}{SEPARATOR}{op}{number}"
        self.nodes.append(helper.make_node(op, inputs, outputs, name, domain=domain, **options))
        return outputs[0]


def find_products(model: onnx.ModelProto, convolutions: bool = False) -> list[Product]:
    """In the order of the graph.

    Args:
        convolutions: give them too.

    Raises:
        InputError: there is none: this is no model that edgevit exported.
    """
    weights = {w.name: w for w in model.graph.initializer}
    products = []
    for node in model.graph.node:
        if node.op_type in ("Gemm", "MatMul") and _has_constant_matrix(node, weights):
            products.append(_product(node, weights))
        elif convolutions and node.op_type == "Conv" and node.input[1] in weights:
            products.append(_convolution(node, weights))
    if not products:
        raise InputError("The model has no linear layers with constant weights to quantize.")
    return products


def _has_constant_matrix(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    matrix = weights.get(node.input[1])
    if matrix is None or len(matrix.dims) != 2:
        return False
    options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    transposed = options.pop("transB", 0)
    plain = all(value in (0, 1.0) for value in options.values())
    return plain and matrix.dims[1 if transposed else 0] >= _LEAST_INPUTS


def _product(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> Product:
    matrix = numpy_helper.to_array(weights[node.input[1]]).astype(np.float32)
    if any(a.name == "transB" and a.i for a in node.attribute):
        matrix = matrix.T
    bias = None
    if len(node.input) > 2:
        bias = numpy_helper.to_array(weights[node.input[2]]).astype(np.float32)
    return Product(_layer_name(node), node.input[0], node.output[0], matrix, bias)


def _convolution(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> Product:
    kernel = numpy_helper.to_array(weights[node.input[1]]).astype(np.float32)
    bias = None
    if len(node.input) > 2:
        bias = numpy_helper.to_array(weights[node.input[2]]).astype(np.float32)
    return Product(
        _layer_name(node),
        node.input[0],
        node.output[0],
        kernel.reshape(len(kernel), -1).T,
        bias,
        {a.name: helper.get_attribute_value(a) for a in node.attribute},
        kernel.shape,
    )


def _layer_name(node: onnx.NodeProto) -> str:
    """The module's name, from the weight where that still has it: a folded weight has none."""
    weight, result = str(node.input[1]), str(node.output[0])
    if weight.startswith("module."):
        return weight.removeprefix("module.").removesuffix(".weight")
    return layer_of(result)


def replace_products(
    model: onnx.ModelProto,
    products: Sequence[Product],
    rewrite: Callable[[Product, Rewritten], None],
) -> onnx.ModelProto:
    """A copy in which ``rewrite`` has put nodes in the place of the products."""
    by_result = {product.result: product for product in products}
    copy = copy_of(model)
    graph = copy.graph
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        product = by_result.get(node.output[0])
        if product is None:
            nodes.append(node)
            continue
        rewritten = Rewritten(product.name)
        rewrite(product, rewritten)
        nodes += rewritten.nodes
        graph.initializer.extend(rewritten.constants)
    set_items(graph.node, nodes)
    drop_unused_weights(graph)
    return copy

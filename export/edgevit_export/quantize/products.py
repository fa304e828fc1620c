"""The matrix products of a model that can be quantized, and how to put something in their place.

A product is a Gemm or MatMul with a constant matrix: every linear layer, and every patch embedding,
which is a product of patch rows here and no convolution. A convolution is one too, of the squares
of a map with a matrix, for the schemes that can write it. Products inside the custom ops' bodies
are not seen, so superpixels stay float.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.inference.node_names import SEPARATOR, layer_of
from edgevit_export.convert.graph import (
    add_weight,
    copy_of,
    drop_unused_weights,
    given,
    is_initializer,
    weight_values,
)

# Smaller products (the place of a centroid: 2 rows) gain nothing.
_LEAST_INPUTS = 16
_PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0}  # of a Gemm that adds a bias to a product


@dataclass(frozen=True)
class Product:
    """y = x W + b.

    name: of the layer, such as ``blocks.3.mlp.0``. source, result: tensors x [.., K] and y [.., N].
    weight: float32 [K, N]. bias: float32 [N], or None.
    convolution: the attributes of a Conv node, whose source and result are maps [B, C, H, W]; None
    for a Gemm or MatMul. kernel: the shape of its weight, [N, C / groups, k, k].
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
        strides: Sequence[int] = (self.convolution or {}).get("strides", ())
        return 1 / prod(strides)

    def as_kernel(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """A matrix [K, N] in the form of the convolution's weight."""
        return matrix.T.reshape(self.kernel)

    @cached_property
    def int8(self) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """(the weight, float32 [N]): a column's scale is its largest magnitude over 127."""
        peak = np.abs(self.weight).max(axis=0)
        scales = np.where(peak > 0, peak / 127, 1.0).astype(np.float32)
        weight = np.clip(np.rint(self.weight / scales), -127, 127).astype(np.int8)
        return weight, scales


def find_products(model: ir.Model, convolutions: bool = False) -> list[Product]:
    """In the order of the graph.

    Args:
        convolutions: give them too.

    Raises:
        InputError: there is none.
    """
    products = products_in(model, convolutions)
    if products:
        return products
    if products_in(model, convolutions=True):
        raise InputError(
            "The model has no linear layers with constant weights, only convolutions. These are "
            "quantized for --target openvino and --target tensorrt."
        )
    raise InputError("The model has no linear layers with constant weights to quantize.")


def products_in(model: ir.Model, convolutions: bool = False) -> list[Product]:
    """The same, of any model: there may be none."""
    products = []
    for node in model.graph:
        if _is_product(node):
            products.append(_product(node))
        elif convolutions and _is_convolution(node):
            products.append(_convolution(node))
    return _told_apart(products)


def _told_apart(products: Sequence[Product]) -> list[Product]:
    """Layers of a name of their own: several may read one weight, or stand in one module."""
    often = Counter(product.name for product in products)
    return [
        replace(product, name=product.result.replace(SEPARATOR, "."))
        if often[product.name] > 1
        else product
        for product in products
    ]


def is_transposed(node: ir.Node) -> bool:
    """Whether a Gemm's matrix is stored as [N, K]."""
    return bool(node.attributes.get_int("transB", 0))


def _is_product(node: ir.Node) -> bool:
    if node.op_type not in ("Gemm", "MatMul"):
        return False
    matrix, *rest = node.inputs[1:]
    if matrix is None or not is_initializer(matrix, ir.DataType.FLOAT) or matrix.shape is None:
        return False
    if not all(_is_bias(value) for value in rest):
        return False
    options = {name: attribute.value for name, attribute in node.attributes.items()}
    is_plain = all(options.get(name, usual) == usual for name, usual in _PLAIN.items())
    inputs = matrix.shape[1 if is_transposed(node) else 0] if len(matrix.shape) == 2 else 0
    return is_plain and isinstance(inputs, int) and inputs >= _LEAST_INPUTS


def _is_bias(value: ir.Value | None) -> bool:
    """Nothing, or a constant that is added to every row."""
    if value is None:
        return True
    if not is_initializer(value, ir.DataType.FLOAT):
        return False
    shape = weight_values(value).shape
    return len(shape) < 2 or shape[0] == 1


def _product(node: ir.Node) -> Product:
    source, stored, *rest = node.inputs
    matrix = _floats(given(stored))
    weight = matrix.T if is_transposed(node) else matrix
    bias = _floats(rest[0]) if rest and rest[0] is not None else None
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), weight.shape[1:]).copy()
    return Product(
        name=_layer_name(node),
        source=str(given(source).name),
        result=str(node.outputs[0].name),
        weight=weight,
        bias=bias,
    )


def _is_convolution(node: ir.Node) -> bool:
    """Of maps [B, C, H, W], with constant weights."""
    if node.op_type != "Conv":
        return False
    kernel, *rest = node.inputs[1:]
    return (
        is_initializer(kernel, ir.DataType.FLOAT)
        and len(weight_values(kernel).shape) == 4
        and all(_is_bias(value) for value in rest)
    )


def _convolution(node: ir.Node) -> Product:
    source, stored, *rest = node.inputs
    kernel = _floats(given(stored))
    return Product(
        name=_layer_name(node),
        source=str(given(source).name),
        result=str(node.outputs[0].name),
        weight=kernel.reshape(len(kernel), -1).T,
        bias=_floats(rest[0]) if rest and rest[0] is not None else None,
        convolution={name: attribute.value for name, attribute in node.attributes.items()},
        kernel=kernel.shape,
    )


def _floats(weight: ir.Value) -> NDArray[np.float32]:
    return weight_values(weight).astype(np.float32, copy=False)


def _layer_name(node: ir.Node) -> str:
    """The module's name, from the weight where that still has it: a folded weight has none."""
    weight, result = str(given(node.inputs[1]).name), str(node.outputs[0].name)
    if weight.startswith("module."):
        return weight.removeprefix("module.").removesuffix(".weight")
    # An output of the model has a name of its own; the node's still says the module.
    return layer_of(str(node.name) if node.outputs[0].is_graph_output() and node.name else result)


class Writer:
    """Puts nodes and constants into a graph, before one product after another.

    Several products may read one tensor: what is written under a name is written once.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.values: dict[str, ir.Value] = {}
        self._names: set[str] = set()
        self._before: ir.Node | None = None
        self._layer = ""

    def move_to(self, node: ir.Node, layer: str) -> None:
        """What follows is written before a node, and named by a layer: ``LAYER/Op``."""
        self._before, self._layer = node, layer

    def constant(self, name: str, value: NDArray[np.generic]) -> ir.Value:
        if name not in self.values:
            self.values[name] = add_weight(self.graph, name, value)
        return self.values[name]

    def node(
        self,
        op: str,
        inputs: Sequence[ir.Value | None],
        *outputs: str,
        domain: str = "",
        **attributes: Any,
    ) -> tuple[ir.Value, ...]:
        """The results of a new node, by the names that are given."""
        if outputs[0] not in self.values:
            made = [ir.Value(name=name) for name in outputs]
            name = self._free_name(op)
            node = ir.node(op, inputs, attributes, domain=domain, outputs=made, name=name)
            if self._before is None:
                raise RuntimeError("move_to() says where nodes go, and was not called")
            self.graph.insert_before(self._before, node)
            self.values |= dict(zip(outputs, made, strict=True))
        return tuple(self.values[name] for name in outputs)

    def _free_name(self, op: str) -> str:
        name = f"{self._layer}{SEPARATOR}{op}"
        name = f"{name}_2" if name in self._names else name
        self._names.add(name)
        return name


# Writes the nodes of a product, given its input, and returns its result.
Rewrite = Callable[[Product, ir.Value, Writer], ir.Value]


def replace_products(model: ir.Model, products: Sequence[Product], rewrite: Rewrite) -> ir.Model:
    """A copy in which ``rewrite`` has put nodes in the place of the products."""
    by_result = {product.result: product for product in products}
    copy = copy_of(model)
    writer = Writer(copy.graph)
    for node in list(copy.graph):
        (old, *_) = node.outputs
        product = by_result.get(str(old.name))
        if product is None:
            continue
        writer.move_to(node, product.name)
        new = rewrite(product, given(node.inputs[0]), writer)
        new.name, new.shape, new.type = old.name, old.shape, old.type
        old.name = None
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
        copy.graph.remove(node, safe=True)
    drop_unused_weights(copy.graph)
    return copy

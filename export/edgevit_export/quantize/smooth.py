"""Smoothing: outlier channels of an activation are handed to the weights behind it.

    x W = (x / s) (s W),   s_j = max|x_j|^a / max|W_j|^(1-a),   a = 1/2

Source: SmoothQuant, arXiv 2211.10438. Only where the division costs nothing: x comes from a
LayerNorm that nothing but quantized products reads, and 1/s goes into its gain and offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit_export.convert.graph import (
    add_weight,
    copy_of,
    drop_unused_weights,
    given,
    is_initializer,
    weight_values,
)
from edgevit_export.quantize.observe import Observed
from edgevit_export.quantize.products import Product, is_transposed, products_in

_STRENGTH = 0.5


def smoothed(model: ir.Model, observed: Mapping[str, Observed]) -> ir.Model:
    """A copy that computes the same, its outlier channels smoothed. Observe it again."""
    copy = copy_of(model)
    groups: dict[str, list[Product]] = {}
    for product in products_in(copy):
        groups.setdefault(product.source, []).append(product)
    for norm in list(copy.graph):
        result = norm.outputs[0]
        products = groups.get(str(result.name), [])
        if norm.op_type != "LayerNormalization" or not _is_read_by(result, products):
            continue
        if not _can_change(norm, result):
            continue
        scale = _scale(observed[str(result.name)], products)
        _divide_norm(copy.graph, norm, scale)
        for node in result.consumers():
            _multiply_rows(node, scale)
    drop_unused_weights(copy.graph)
    return copy


def _is_read_by(value: ir.Value, products: Sequence[Product]) -> bool:
    """Whether these products, and nothing else, read a tensor."""
    return bool(products) and len(value.uses()) == len(products) and not value.is_graph_output()


def _can_change(norm: ir.Node, result: ir.Value) -> bool:
    """Whether gain and offset are constants, and the weights behind them nobody else's."""
    weights = [given(node.inputs[1]) for node in result.consumers()]
    return all(is_initializer(value, ir.DataType.FLOAT) for value in norm.inputs[1:]) and all(
        len(weight.uses()) == 1 for weight in weights
    )


def _scale(observed: Observed, products: Sequence[Product]) -> NDArray[np.float32]:
    """float32 [K], 1 where a channel or its weights are all zero."""
    if observed.channel_peak is None:
        raise ValueError("the tensor was not observed")
    of_x = observed.channel_peak
    of_w = np.max([np.abs(product.weight).max(axis=1) for product in products], axis=0)
    is_used = (of_x > 0) & (of_w > 0)
    ratio = np.where(is_used, of_x, 1) ** _STRENGTH / np.where(is_used, of_w, 1) ** (1 - _STRENGTH)
    return np.where(is_used, ratio, 1).astype(np.float32)


def _divide_norm(graph: ir.Graph, norm: ir.Node, scale: NDArray[np.float32]) -> None:
    for place, weight in enumerate(norm.inputs[1:], start=1):
        values = (weight_values(weight) / scale).astype(np.float32)
        name = f"{norm.outputs[0].name}.smooth{place}"
        norm.replace_input_with(place, add_weight(graph, name, values))


def _multiply_rows(node: ir.Node, scale: NDArray[np.float32]) -> None:
    """The weight's name is kept: it tells which layer this is."""
    weight = given(node.inputs[1])
    rows = scale if is_transposed(node) else scale[:, None]
    values = (weight_values(weight) * rows).astype(np.float32)
    weight.const_value = ir.tensor(values, name=weight.name)

"""Smoothing: outlier channels of an activation are handed to the weights behind it.

    x W = (x / s) (s W),   s_j = max|x_j|^a / max|W_j|^(1-a),   a = 1/2

Source: SmoothQuant, arXiv 2211.10438. Only where the division costs nothing: x comes from a
LayerNorm that nothing but quantized products reads, and 1/s goes into its gain and offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgevit_export.convert.graph import copy_of
from edgevit_export.quantize.observe import Observed
from edgevit_export.quantize.products import Product, find_products

_STRENGTH = 0.5


def smoothed(model: onnx.ModelProto, observed: Mapping[str, Observed]) -> onnx.ModelProto:
    """A copy that computes the same, its outlier channels smoothed. Observe it again."""
    copy = copy_of(model)
    groups: dict[str, list[Product]] = {}
    for product in find_products(copy):
        groups.setdefault(product.source, []).append(product)
    readers = _readers(copy)
    weights = {w.name: w for w in copy.graph.initializer}
    for norm in copy.graph.node:
        if norm.op_type != "LayerNormalization" or norm.output[0] not in groups:
            continue
        products = groups[norm.output[0]]
        if readers[norm.output[0]] != len(products):
            continue
        scale = _scale(observed[norm.output[0]], products)
        _divide_norm(copy.graph, norm, weights, scale)
        for node in copy.graph.node:
            if norm.output[0] in node.input:
                _multiply_rows(node, weights, scale)
    return copy


def _scale(observed: Observed, products: Sequence[Product]) -> NDArray[np.float32]:
    """float32 [K], 1 where a channel or its weights are silent."""
    if observed.channel_peak is None:
        raise ValueError("the tensor was not observed")
    of_x = observed.channel_peak
    of_w = np.max([np.abs(product.weight).max(axis=1) for product in products], axis=0)
    heard = (of_x > 0) & (of_w > 0)
    ratio = np.where(heard, of_x, 1) ** _STRENGTH / np.where(heard, of_w, 1) ** (1 - _STRENGTH)
    return np.where(heard, ratio, 1).astype(np.float32)


def _divide_norm(
    graph: onnx.GraphProto,
    norm: onnx.NodeProto,
    weights: dict[str, onnx.TensorProto],
    scale: NDArray[np.float32],
) -> None:
    for place in range(1, len(norm.input)):
        value = numpy_helper.to_array(weights[norm.input[place]]) / scale
        name = f"{norm.output[0]}.smooth{place}"
        norm.input[place] = _add(graph, name, value.astype(np.float32))


def _multiply_rows(
    node: onnx.NodeProto,
    weights: dict[str, onnx.TensorProto],
    scale: NDArray[np.float32],
) -> None:
    matrix = weights[node.input[1]]
    rows = any(a.name == "transB" and a.i for a in node.attribute)
    value = numpy_helper.to_array(matrix) * (scale if rows else scale[:, None])
    # The name is kept: it tells which layer this is.
    matrix.CopyFrom(numpy_helper.from_array(value.astype(np.float32), matrix.name))


def _add(graph: onnx.GraphProto, name: str, value: NDArray[np.float32]) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _readers(model: onnx.ModelProto) -> dict[str, int]:
    """How many inputs, and outputs of the model, read every tensor."""
    counts: dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            counts[name] = counts.get(name, 0) + 1
    for output in model.graph.output:
        counts[output.name] = counts.get(output.name, 0) + 1
    return counts

"""Nodes whose inputs are all known: they are computed here, by ONNX's own reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

from edgevit_export.native.draft.draft import Draft
from edgevit_export.native.draft.tensors import Int8Weight, Numbers, View, numbers

_OPSET = 19  # the reference has no (De)QuantizeLinear of 18; what we write is the same in both


def is_constant(draft: Draft, node: ir.Node) -> bool:
    """Whether nothing that it reads depends on the picture but its shape."""
    if node.op_type == "Shape":
        return True
    return all(isinstance(draft.view(v).tensor, Numbers) for v in node.inputs if v is not None)


def computed(draft: Draft, node: ir.Node) -> list[View]:
    """The results of such a node."""
    if node.op_type == "Shape":
        shape = draft.view(node.inputs[0]).shape
        start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", len(shape))
        return [numbers(np.array(shape[start:end], np.int64))]
    values = {str(v.name): draft.view(v).constant for v in node.inputs if v is not None}
    (*results,) = _evaluate(node, values)
    if node.op_type == "DequantizeLinear":
        return [numbers(results[0], _weight(draft, node))]
    return [numbers(np.asarray(result)) for result in results]


def _evaluate(node: ir.Node, values: dict[str, NDArray[Any] | None]) -> list[NDArray[Any]]:
    names = [str(output.name) for output in node.outputs]
    inputs = [helper.make_tensor_value_info(name, 0, None) for name in values]
    outputs = [helper.make_tensor_value_info(name, 0, None) for name in names]
    graph = helper.make_graph([ir.to_proto(node)], "constant", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    return list(ReferenceEvaluator(model).run(None, values))


def _weight(draft: Draft, node: ir.Node) -> Int8Weight | None:
    """What a constant was dequantized from, if it is int8 about zero."""
    stored = draft.view(node.inputs[0]).constant
    scales = draft.view(node.inputs[1]).constant
    if stored is None or scales is None or stored.dtype != np.int8 or _zero(draft, node):
        return None
    axis = node.attributes.get_int("axis", 1)
    count = stored.shape[axis] if stored.ndim else 1
    return Int8Weight(stored, np.broadcast_to(scales, count).astype(np.float32), axis)


def _zero(draft: Draft, node: ir.Node) -> bool:
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return False
    zero = draft.view(node.inputs[2]).constant
    return zero is not None and bool(zero.any())

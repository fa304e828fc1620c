"""The nodes of a graph, in order, become the operations of a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgevit.common.errors import InputError
from edgevit.inference.node_names import layer_of, module_of
from edgevit_export.native.lowering import elementwise_nodes, row_nodes, superpixel_nodes
from edgevit_export.native.lowering.attention_pattern import attention, scores
from edgevit_export.native.lowering.constant_nodes import computed, is_constant
from edgevit_export.native.lowering.draft import Draft
from edgevit_export.native.lowering.gelu_pattern import gelu
from edgevit_export.native.lowering.product_nodes import conv, gemm
from edgevit_export.native.lowering.quantize_nodes import dequantize, quantize
from edgevit_export.native.lowering.shape_nodes import SHAPE_NODES
from edgevit_export.native.lowering.tensors import (
    Numbers,
    Pixels,
    UnsupportedError,
    View,
)
from edgevit_export.native.plan import Plan

_Lowered = View | list[View] | None
_NODES: dict[str, Callable[[Draft, ir.Node], _Lowered]] = {
    **dict.fromkeys(elementwise_nodes.UNARY, elementwise_nodes.unary),
    **dict.fromkeys(elementwise_nodes.BINARY, elementwise_nodes.binary),
    "Pow": elementwise_nodes.power,
    "Gemm": gemm,
    "Conv": conv,
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "LayerNormalization": row_nodes.layer_normalization,
    "ReduceMean": row_nodes.mean,
    "GlobalAveragePool": row_nodes.mean,
    "Concat": row_nodes.concat,
    "Pad": row_nodes.pad,
    "SuperpixelSlic": superpixel_nodes.slic,
    "SuperpixelPool": superpixel_nodes.pool,
}


def lowered(graph: ir.Graph) -> Plan:
    """The plan of a graph from ``image`` uint8 [B, H, W, 3] to one output, the logits.

    Raises:
        InputError: the native runtime cannot compute a layer, which is named.
    """
    draft = Draft()
    (image,) = graph.inputs
    height, width = _size_of(image)
    draft.views[image] = _picture(height, width)
    for node in graph:
        if node not in draft.done:
            _lower(draft, node)
    (output,) = graph.outputs
    view = draft.view(output)
    classes = view.places.size
    draft.name = str(output.name)
    logits = draft.float_rows(view, 1, classes).place
    return Plan(
        draft.finished_ops(),
        height,
        width,
        logits,
        classes,
        draft.superpixel_map,
        draft.map_side,
        draft.map_side,
    )


def _size_of(image: ir.Value) -> tuple[int, int]:
    shape = [] if image.shape is None else list(image.shape)
    if len(shape) != 4 or shape[3] != 3 or not all(isinstance(n, int) for n in shape[1:3]):
        raise InputError(
            f"The native runtime takes pictures of a fixed size, uint8 [B, H, W, 3]; this model's "
            f"input {image.name} is {shape}. Compile it with --target onnxruntime."
        )
    return int(shape[1]), int(shape[2])


def _picture(height: int, width: int) -> View:
    table = np.tile(np.arange(256, dtype=np.float32), (3, 1))
    shape = (1, height, width, 3)
    return View(Pixels(height, width, table), np.arange(height * width * 3).reshape(shape))


def _lower(draft: Draft, node: ir.Node) -> None:
    draft.name = node.name or str(node.outputs[0].name)
    try:
        found = _views(draft, node)
    except UnsupportedError as error:
        layer = module_of(draft.name) or layer_of(draft.name)
        raise InputError(
            f"The native runtime cannot compute layer {layer} ({node.op_type}): {error}. Compile "
            "this model with --target onnxruntime or --target openvino."
        ) from error
    if found is None:
        return
    views = found if isinstance(found, list) else [found]
    for value, view in zip(node.outputs, views, strict=False):
        draft.views[value] = view


def _views(draft: Draft, node: ir.Node) -> _Lowered:
    if node in draft.attentions:
        return attention(draft, node, *draft.attentions[node])
    if is_constant(draft, node):
        return computed(draft, node)
    if node.op_type in SHAPE_NODES:
        return _seen_otherwise(draft, node)
    if gelu(draft, node):
        return None
    if node.op_type == "MatMul":
        return _product(draft, node)
    if node.op_type not in _NODES:
        raise UnsupportedError("it has no operation for it")
    found = _NODES[node.op_type](draft, node)
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") and isinstance(found, View):
        return _marked(draft, node, found)
    return found


def _product(draft: Draft, node: ir.Node) -> View | None:
    """With a constant, or with another tensor."""
    if isinstance(draft.view(node.inputs[1]).tensor, Numbers):
        if len(draft.view(node.inputs[1]).shape) == 2:
            return gemm(draft, node)
    scores(draft, node)
    return None


def _seen_otherwise(draft: Draft, node: ir.Node) -> _Lowered:
    view = draft.view(node.inputs[0])
    found = SHAPE_NODES[node.op_type](draft, node, view)
    if isinstance(found, list):
        return [_marked(draft, node, part) for part in found]
    return _marked(draft, node, found)


def _marked(draft: Draft, node: ir.Node, view: View) -> View:
    """A view that remembers whether what it is a view of has other readers."""
    source = node.inputs[0]
    if source is not None and not source.is_initializer() and not draft.is_alone(source, node):
        return replace(view, shared=True)
    return view

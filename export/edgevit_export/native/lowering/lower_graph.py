"""The nodes of a graph, in order, become the operations of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgevit.common.errors import InputError
from edgevit.inference.node_names import layer_of, module_of
from edgevit_export.native.draft.draft import Draft
from edgevit_export.native.draft.reading import float_rows
from edgevit_export.native.draft.tensors import Pixels, UnsupportedError, View
from edgevit_export.native.lowering import elementwise_nodes, row_nodes, superpixel_nodes
from edgevit_export.native.lowering.attention_pattern import scores, weighted_values
from edgevit_export.native.lowering.constant_nodes import computed, is_constant
from edgevit_export.native.lowering.gelu_pattern import gelu
from edgevit_export.native.lowering.product_nodes import conv, gemm
from edgevit_export.native.lowering.view_nodes import VIEW_NODES
from edgevit_export.native.plan import Plan

_Lowered = View | list[View] | None
_NODES: dict[str, Callable[[Draft, ir.Node], _Lowered]] = {
    **dict.fromkeys(elementwise_nodes.UNARY, elementwise_nodes.unary),
    **dict.fromkeys(elementwise_nodes.BINARY, elementwise_nodes.binary),
    "Pow": elementwise_nodes.power,
    "Gemm": gemm,
    "MatMul": gemm,
    "Conv": conv,
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
    (image,), (output,) = graph.inputs, graph.outputs
    height, width = _size_of(image)
    draft.views[image] = _picture(height, width)
    for node in graph:
        if node not in draft.done:
            _lower(draft, node)
    with _layer_named(draft, output.producer()):
        view = draft.view(output)
        classes = view.places.size
        logits = float_rows(draft, view, 1, classes).place
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
    height, width = (n for n in shape[1:3] if isinstance(n, int))
    return height, width


def _picture(height: int, width: int) -> View:
    table = np.tile(np.arange(256, dtype=np.float32), (3, 1))
    shape = (1, height, width, 3)
    return View(Pixels(height, width, table), np.arange(height * width * 3).reshape(shape))


@contextmanager
def _layer_named(draft: Draft, node: ir.Node | None) -> Iterator[None]:
    """Turns what an operation refuses into an error that names the node's layer."""
    draft.node_name = "" if node is None else node.name or str(node.outputs[0].name)
    try:
        yield
    except UnsupportedError as error:
        layer = module_of(draft.node_name) or layer_of(draft.node_name)
        kind = "" if node is None else f" ({node.op_type})"
        raise InputError(
            f"The native runtime cannot compute layer {layer}{kind}: {error}. Compile this model "
            "with --target onnxruntime or --target openvino."
        ) from error


def _lower(draft: Draft, node: ir.Node) -> None:
    with _layer_named(draft, node):
        found = _views(draft, node)
    if found is None:
        return
    views = found if isinstance(found, list) else [found]
    for value, view in zip(node.outputs, views, strict=False):
        draft.views[value] = view


def _views(draft: Draft, node: ir.Node) -> _Lowered:
    """Of the results; None where another node stands for this one."""
    if node in draft.endings:
        return draft.endings[node]()
    if is_constant(draft, node):
        return computed(draft, node)
    if gelu(draft, node) or scores(draft, node) or weighted_values(draft, node):
        return None
    if node.op_type in VIEW_NODES:
        return _marked(draft, node, VIEW_NODES[node.op_type](draft, node))
    if node.op_type in _NODES:
        return _NODES[node.op_type](draft, node)
    raise UnsupportedError("it has no operation for it")


def _marked(draft: Draft, node: ir.Node, found: View | list[View]) -> _Lowered:
    """Views that remember whether what they are views of has other readers."""
    source = node.inputs[0]
    if source is None or draft.is_alone(source, node):
        return found
    if isinstance(found, list):
        return [replace(view, shared=True) for view in found]
    return replace(found, shared=True)

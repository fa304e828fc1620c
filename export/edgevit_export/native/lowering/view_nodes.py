"""Nodes that become views, and no operation: they say where numbers are, or in how many bits.

QuantizeLinear only notes a scale: what reads the view decides whether it takes bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit_export.native.draft.draft import Draft
from edgevit_export.native.draft.tensors import Pixels, Scaling, UnsupportedError, View

_FLOAT = 1


def reshape(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    wanted = [int(size) for size in known(draft, node, 1)]
    if not node.attributes.get_int("allowzero", 0):
        wanted = [view.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return view.at(view.places.reshape(wanted))


def transpose(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    order = node.attributes.get_ints("perm", tuple(reversed(range(len(view.shape)))))
    return view.at(view.places.transpose(order))


def flatten(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    axis = node.attributes.get_int("axis", 1)
    return view.at(view.places.reshape(int(np.prod(view.shape[:axis])), -1))


def squeeze(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    if len(node.inputs) < 2:
        return view.at(view.places.squeeze())
    return view.at(view.places.squeeze(tuple(int(axis) for axis in known(draft, node, 1))))


def unsqueeze(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    return view.at(np.expand_dims(view.places, tuple(int(axis) for axis in known(draft, node, 1))))


def expand(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    shape = np.broadcast_shapes(view.shape, tuple(int(n) for n in known(draft, node, 1)))
    return view.at(np.broadcast_to(view.places, shape))


def gather(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    axis = node.attributes.get_int("axis", 0)
    return view.at(np.take(view.places, known(draft, node, 1), axis))


def slice_(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    starts, ends = known(draft, node, 1), known(draft, node, 2)
    axes = known(draft, node, 3) if len(node.inputs) > 3 else np.arange(len(starts))
    steps = known(draft, node, 4) if len(node.inputs) > 4 else np.ones_like(starts)
    cuts = [slice(None)] * len(view.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cuts[int(axis)] = slice(int(start), int(end), int(step))
    return view.at(view.places[tuple(cuts)])


def same(draft: Draft, node: ir.Node) -> View:
    return draft.view(node.inputs[0])


def cast(draft: Draft, node: ir.Node) -> View:
    """Of the picture to float: what is computed is float anyway."""
    view = draft.view(node.inputs[0])
    if node.attributes.get_int("to", 0) != _FLOAT or not isinstance(view.tensor, Pixels):
        raise UnsupportedError("only the picture is cast, to float32")
    return view


def split(draft: Draft, node: ir.Node) -> list[View]:
    view = draft.view(node.inputs[0])
    axis = node.attributes.get_int("axis", 0)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        ends = np.cumsum(known(draft, node, 1))[:-1]
        return [view.at(part) for part in np.split(view.places, ends, axis)]
    size = -(-view.shape[axis] // len(node.outputs))
    cuts = list(range(size, view.shape[axis], size))
    return [view.at(part) for part in np.split(view.places, cuts, axis)]


def quantize(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    scale, zero = known(draft, node, 1), known(draft, node, 2)
    if scale.size != 1 or zero.dtype != np.uint8:
        raise UnsupportedError("activations have one scale and are uint8")
    return replace(view, scaling=Scaling(float(scale.item()), int(zero.item())))


def known(draft: Draft, node: ir.Node, place: int) -> NDArray[Any]:
    """An input that has to be constant."""
    found = draft.view(node.inputs[place]).constant
    if found is None:
        raise UnsupportedError(f"its input {place} depends on the picture")
    return found


VIEW_NODES: dict[str, Callable[[Draft, ir.Node], View | list[View]]] = {
    "Reshape": reshape,
    "Transpose": transpose,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Expand": expand,
    "Gather": gather,
    "Slice": slice_,
    "Identity": same,
    "Dropout": same,
    "Cast": cast,
    "Split": split,
    "QuantizeLinear": quantize,
    "DequantizeLinear": same,
}

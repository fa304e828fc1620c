"""softmax(scale * q k^T + mask) v, written as MatMul, Mul, Add, Softmax and MatMul."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevit_export.convert.graph import given
from edgevit_export.native import plan
from edgevit_export.native.draft.draft import Draft, scratch
from edgevit_export.native.draft.reading import Rows, float_rows
from edgevit_export.native.draft.tensors import Numbers, UnsupportedError, View, whole
from edgevit_export.native.lowering.gelu_pattern import only_reader
from edgevit_export.native.plan import Place

_THREADS = 16  # for each of which a row of scores has room
_VECTOR = 8


@dataclass(frozen=True)
class _Attention:
    """The nodes between the scores and the last product, which is ``last``."""

    scale: float
    mask: ir.Value | None
    nodes: tuple[ir.Node, ...]
    last: ir.Node


def scores(draft: Draft, node: ir.Node) -> bool:
    """Takes a product of two computed tensors, if it is one: an attention has to begin there.

    Raises:
        UnsupportedError: it is something else.
    """
    second = draft.view(node.inputs[1])
    if isinstance(second.tensor, Numbers) and len(second.shape) == 2:
        return False
    found = _match(draft, node)
    draft.attentions[found.last] = (node, found)
    draft.done.update(found.nodes)  # the last of which is the softmax
    return True


def attention(draft: Draft, node: ir.Node, first: ir.Node, found: _Attention) -> View:
    """The operation, at the place of the last product, where all that it reads is there."""
    query, turned_key = (draft.view(value) for value in first.inputs)
    value = draft.view(node.inputs[1])
    key = turned_key.at(turned_key.places.swapaxes(-1, -2))
    heads = int(np.prod(query.shape[:-2], dtype=int))
    rows, width = query.shape[-2:]
    tokens = value.shape[-2]
    if int(np.prod(value.shape[:-2], dtype=int)) != heads or value.shape[-1] != width:
        raise UnsupportedError("its queries and values are of different shapes")
    q, k, v = (_head_rows(draft, view, heads) for view in (query, key, value))
    whole_vectors = -(-tokens // _VECTOR) * _VECTOR
    scratch_bytes = 4 * (heads * width + _THREADS) * whole_vectors
    op = plan.Attention(
        name=draft.name(),
        query=q.place,
        query_stride=q.stride,
        key=k.place,
        key_stride=k.stride,
        value=v.place,
        value_stride=v.stride,
        heads=heads,
        rows=rows,
        tokens=tokens,
        head_width=width,
        scale=found.scale,
        mask=_mask(draft, found.mask, tokens),
        scratch=scratch(scratch_bytes),
        scratch_bytes=scratch_bytes,
    )
    result = whole(draft.emit(op, rows, heads * width), (rows, heads, width))
    shape = (*np.broadcast_shapes(query.shape[:-2], value.shape[:-2]), rows, width)
    return result.at(result.places.swapaxes(0, 1).reshape(shape))


def _head_rows(draft: Draft, view: View, heads: int) -> Rows:
    """[.., heads, rows, width] as rows of all heads."""
    rows, width = view.shape[-2:]
    places = view.places.reshape(heads, rows, width).swapaxes(0, 1)
    return float_rows(draft, view.at(places), rows, heads * width)


def _mask(draft: Draft, value: ir.Value | None, tokens: int) -> Place | None:
    if value is None:
        return None
    view = draft.view(value)
    if view.places.size != tokens or view.shape[-1] != tokens:
        raise UnsupportedError(f"its mask is of shape {list(view.shape)}, not one for all rows")
    return float_rows(draft, view, 1, tokens).place


def _match(draft: Draft, node: ir.Node) -> _Attention:
    """What follows the scores, up to the product with the values.

    Raises:
        UnsupportedError: it is something else.
    """
    scale, mask, nodes = 1.0, None, []
    current, value = node, node.outputs[0]
    while (following := only_reader(value)) is not None:
        nodes.append(following)
        if following.op_type in ("Mul", "Div") and mask is None:
            scale *= _scale(draft, following, value)
        elif following.op_type == "Add" and mask is None:
            mask = next(given(v) for v in following.inputs if v is not value)
        elif following.op_type == "Softmax":
            return _ending(following, scale, mask, tuple(nodes))
        else:
            break
        current, value = following, following.outputs[0]
    raise UnsupportedError(f"after {current.name or current.op_type} comes no softmax")


def _ending(
    softmax: ir.Node, scale: float, mask: ir.Value | None, nodes: tuple[ir.Node, ...]
) -> _Attention:
    last = only_reader(softmax.outputs[0])
    if last is None or last.op_type != "MatMul" or last.inputs[0] is not softmax.outputs[0]:
        raise UnsupportedError("what comes after its softmax is no product with values")
    if softmax.attributes.get_int("axis", -1) not in (-1, 3):
        raise UnsupportedError("its softmax is not over the last axis")
    return _Attention(scale, mask, nodes, last)


def _scale(draft: Draft, node: ir.Node, value: ir.Value) -> float:
    other = next((v for v in node.inputs if v is not value), None)
    constant = draft.view(other).constant if other and draft.is_known(other) else None
    is_divisor = node.op_type == "Div" and node.inputs[1] is value
    if constant is None or constant.size != 1 or is_divisor:
        raise UnsupportedError("its scores are scaled by something that is no constant")
    number = float(constant.item())
    return number if node.op_type == "Mul" else 1 / number

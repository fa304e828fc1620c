"""softmax(scale * q k^T + mask) v, written as MatMul, Mul, Add, Softmax and MatMul.

Where something else reads the scores, or adds to each of them, they are written down, and the
softmax with the values is an operation of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from edgevit_export.convert.graph import given
from edgevit_export.native import plan
from edgevit_export.native.draft.draft import Draft, scratch
from edgevit_export.native.draft.reading import Rows, float_rows
from edgevit_export.native.draft.tensors import Numbers, UnsupportedError, View, whole
from edgevit_export.native.lowering.elementwise_nodes import of_two
from edgevit_export.native.lowering.gelu_pattern import only_reader

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
    """Takes a product of two computed tensors, and what follows it up to the end of an attention.

    Returns:
        Whether it is one.
    """
    if node.op_type != "MatMul" or any(
        isinstance(view.tensor, Numbers) and len(view.shape) == 2
        for view in map(draft.view, node.inputs)
    ):
        return False
    found = _match(draft, node)
    if found is None:
        _written_scores(draft, node)
        return True
    draft.endings[found.last] = partial(_attention, draft, node, found)
    draft.done.update(found.nodes)  # the last of which is the softmax
    return True


def weighted_values(draft: Draft, node: ir.Node) -> bool:
    """Takes the softmax of scores that are written down; whether it is one.

    Raises:
        UnsupportedError: no values are weighted by it.
    """
    if node.op_type != "Softmax":
        return False
    last = _product_after(node)
    draft.endings[last] = lambda: _weighted(
        draft, draft.view(node.inputs[0]), draft.view(last.inputs[1])
    )
    return True


def _attention(draft: Draft, first: ir.Node, found: _Attention) -> View:
    """The operation, at the place of the last product, where all that it reads is there."""
    query, key = _query_and_key(draft, first)
    value = draft.view(found.last.inputs[1])
    mask = None if found.mask is None else draft.view(found.mask)
    tokens, width = key.shape[-2:]
    is_one_mask = mask is None or (mask.places.size == tokens == mask.shape[-1])
    if not is_one_mask or value.shape[-1] != width:
        written = _scores(draft, query, key, found.scale)
        if mask is not None:
            written = of_two(draft, plan.ADD, (written, mask))
        return _weighted(draft, written, value)
    heads, rows = _heads(query), query.shape[-2]
    _require_shape(value, heads, tokens)
    operands = {"query": query, "key": key, "value": value}
    op = plan.Attention(
        name=draft.name(),
        scale=found.scale,
        mask=None if mask is None else float_rows(draft, mask, 1, tokens).place,
        **_by_name(draft, operands, heads),
        **_sizes(heads, rows, tokens, width),
        **_memory(tokens, heads * width),
    )
    return _by_head(draft, op, query.shape[:-2], (rows, heads, width))


def _query_and_key(draft: Draft, node: ir.Node) -> tuple[View, View]:
    """[.., rows, width] and [.., tokens, width], of the same heads."""
    query, transposed_key = (draft.view(value) for value in node.inputs)
    if min(len(query.shape), len(transposed_key.shape)) < 2:
        raise UnsupportedError("it multiplies with a vector that depends on the picture")
    key = transposed_key.at(transposed_key.places.swapaxes(-1, -2))
    _require_shape(key, _heads(query), key.shape[-2])
    return query, key


def _heads(view: View) -> int:
    return int(np.prod(view.shape[:-2], dtype=int))


def _require_shape(view: View, heads: int, tokens: int) -> None:
    if _heads(view) != heads or view.shape[-2] != tokens:
        raise UnsupportedError("its queries, keys and values are of different shapes")


def _head_rows(draft: Draft, view: View, heads: int) -> Rows:
    """[.., heads, rows, width] as rows of all heads."""
    rows, width = view.shape[-2:]
    places = view.places.reshape(heads, rows, width).swapaxes(0, 1)
    return float_rows(draft, view.at(places), rows, heads * width)


def _by_name(draft: Draft, operands: Mapping[str, View], heads: int) -> dict[str, Any]:
    """The places that an operation on heads reads, and their strides, by argument."""
    rows = {name: _head_rows(draft, view, heads) for name, view in operands.items()}
    places = {name: found.place for name, found in rows.items()}
    return places | {f"{name}_stride": found.stride for name, found in rows.items()}


def _sizes(heads: int, rows: int, tokens: int, head_width: int) -> dict[str, Any]:
    return {"heads": heads, "rows": rows, "tokens": tokens, "head_width": head_width}


def _memory(tokens: int, width: int = 0) -> dict[str, Any]:
    """For keys of some width, and a row of scores for each thread."""
    size = 4 * (width + _THREADS) * (-(-tokens // _VECTOR) * _VECTOR)
    return {"scratch": scratch(size), "scratch_bytes": size}


def _by_head(draft: Draft, op: plan.Op, outer: tuple[int, ...], size: tuple[int, int, int]) -> View:
    """[.., heads, rows, width] of an operation whose rows have all heads side by side.

    Args:
        size: rows, heads and width.
    """
    rows, heads, width = size
    result = whole(draft.emit(op, rows, heads * width), size)
    return result.at(result.places.swapaxes(0, 1).reshape(*outer, rows, width))


# Scores that are written down --------------------------------------------------------------------


def _written_scores(draft: Draft, node: ir.Node) -> None:
    """The product alone, and a constant that it is multiplied by."""
    following = only_reader(node.outputs[0])
    scale = None if following is None else _scale(draft, following, node.outputs[0])
    view = _scores(draft, *_query_and_key(draft, node), 1.0 if scale is None else scale)
    if following is None or scale is None:
        draft.views[node.outputs[0]] = view
    else:
        draft.done.add(following)
        draft.views[following.outputs[0]] = view


def _scores(draft: Draft, query: View, key: View, scale: float) -> View:
    heads, rows, (tokens, width) = _heads(query), query.shape[-2], key.shape[-2:]
    op = plan.Scores(
        name=draft.name(),
        scale=scale,
        **_by_name(draft, {"query": query, "key": key}, heads),
        **_sizes(heads, rows, tokens, width),
        **_memory(tokens, heads * width),
    )
    return _by_head(draft, op, query.shape[:-2], (rows, heads, tokens))


def _weighted(draft: Draft, written: View, value: View) -> View:
    heads, (rows, tokens), width = _heads(written), written.shape[-2:], value.shape[-1]
    _require_shape(value, heads, tokens)
    op = plan.Weighted(
        name=draft.name(),
        **_by_name(draft, {"scores": written, "value": value}, heads),
        **_sizes(heads, rows, tokens, width),
        **_memory(tokens),
    )
    return _by_head(draft, op, written.shape[:-2], (rows, heads, width))


# The pattern -------------------------------------------------------------------------------------


def _match(draft: Draft, node: ir.Node) -> _Attention | None:
    """What follows scores, up to the product with the values, if nothing else reads them."""
    scale, mask, nodes = 1.0, None, []
    value = node.outputs[0]
    while (following := only_reader(value)) is not None:
        nodes.append(following)
        factor = _scale(draft, following, value)
        if following.op_type == "Softmax":
            return _Attention(scale, mask, tuple(nodes), _product_after(following))
        if factor is not None and mask is None:
            scale *= factor
        elif following.op_type == "Add" and mask is None:
            mask = next(given(v) for v in following.inputs if v is not value)
        else:
            break
        value = following.outputs[0]
    return None


def _product_after(softmax: ir.Node) -> ir.Node:
    """Of the attention weights with the values."""
    last = only_reader(softmax.outputs[0])
    if last is None or last.op_type != "MatMul" or last.inputs[0] is not softmax.outputs[0]:
        raise UnsupportedError("what comes after its softmax is no product with values")
    dimensions = None if softmax.inputs[0] is None else softmax.inputs[0].shape
    last_axis = 3 if dimensions is None else len(dimensions) - 1
    if softmax.attributes.get_int("axis", -1) not in (-1, last_axis):
        raise UnsupportedError("its softmax is not over the last axis")
    return last


def _scale(draft: Draft, node: ir.Node, value: ir.Value) -> float | None:
    """By which number a node multiplies a tensor; None if it does something else."""
    other = next((v for v in node.inputs if v is not value), None)
    constant = draft.view(other).constant if other and draft.is_known(other) else None
    is_divisor = node.op_type == "Div" and node.inputs[1] is value
    if node.op_type not in ("Mul", "Div") or constant is None or constant.size != 1 or is_divisor:
        return None
    number = float(constant.item())
    return number if node.op_type == "Mul" else 1 / number

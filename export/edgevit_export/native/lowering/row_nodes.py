"""LayerNormalization, means of rows, and what puts rows together: Concat and Pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgevit_export.native import plan
from edgevit_export.native.draft.draft import FLOAT_BYTES, Draft
from edgevit_export.native.draft.reading import copy_to, float_rows
from edgevit_export.native.draft.tensors import (
    RESULT,
    Result,
    UnsupportedError,
    View,
    numbers,
    whole,
)
from edgevit_export.native.lowering.view_nodes import known
from edgevit_export.native.plan import Constant, Place

_VECTOR = 8  # a row is written in whole vectors of floats


def layer_normalization(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    if node.attributes.get_int("axis", -1) not in (-1, len(view.shape) - 1):
        raise UnsupportedError("it is not over the last axis")
    channels = view.shape[-1]
    count = view.places.size // channels
    rows = float_rows(draft, view, count, channels)
    op = plan.LayerNorm(
        name=draft.name(),
        src=rows.place,
        rows=count,
        channels=channels,
        src_stride=rows.stride,
        gamma=_vector(draft, node, 1, channels),
        beta=_vector(draft, node, 2, channels),
        epsilon=node.attributes.get_float("epsilon", 1e-5),
    )
    return whole(draft.emit(op, count, channels), view.shape)


def _vector(draft: Draft, node: ir.Node, place: int, size: int) -> Place | None:
    if len(node.inputs) <= place or node.inputs[place] is None:
        return None
    values = known(draft, node, place).astype(np.float32)
    return Place(Constant(np.ascontiguousarray(np.broadcast_to(values.ravel(), size))))


def mean(draft: Draft, node: ir.Node) -> View:
    """ReduceMean and GlobalAveragePool: the mean of rows, or of the places of a map."""
    view = draft.view(node.inputs[0])
    axes = [axis % len(view.shape) for axis in _axes(draft, node, len(view.shape))]
    kept = [axis for axis in range(len(view.shape)) if axis not in axes]
    shape = [1 if axis in axes else size for axis, size in enumerate(view.shape)]
    columns = int(np.prod([view.shape[axis] for axis in kept], dtype=int))
    count = view.places.size // columns
    rows = float_rows(draft, view.at(view.places.transpose(*axes, *kept)), count, columns)
    op = plan.Mean(
        name=draft.name(), src=rows.place, rows=count, columns=columns, src_stride=rows.stride
    )
    result = whole(draft.emit(op, 1, columns), tuple(shape))
    if node.op_type == "ReduceMean" and not node.attributes.get_int("keepdims", 1):
        return result.at(result.places.squeeze(tuple(axes)))
    return result


def _axes(draft: Draft, node: ir.Node, dimensions: int) -> Sequence[int]:
    if node.op_type == "GlobalAveragePool":
        return range(2, dimensions)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        return [int(axis) for axis in known(draft, node, 1)]
    return node.attributes.get_ints("axes", tuple(range(dimensions)))


# Putting together --------------------------------------------------------------------------------


def concat(draft: Draft, node: ir.Node) -> View:
    axis = node.attributes.get_int("axis", 0)
    return joined(draft, [draft.view(value) for value in node.inputs], axis)


def joined(draft: Draft, views: Sequence[View], axis: int) -> View:
    """Tensors one after another: each is written to its place, or copied there."""
    axis %= len(views[0].shape)
    before, behind = views[0].shape[:axis], views[0].shape[axis + 1 :]
    outer, inner = (int(np.prod(sizes, dtype=int)) for sizes in (before, behind))
    length = sum(view.shape[axis] for view in views)
    rows, columns = (length, inner) if outer == 1 and inner > 1 else (outer, length * inner)
    into = draft.parts(rows, columns)
    start = 0
    for view in views:
        size = view.shape[axis] * inner
        if not (outer == 1 and _moved(draft, view, into, start)):
            count, width = (view.shape[axis], inner) if columns == inner else (outer, size)
            copy_to(draft, view, (count, width), into, start)
        start += size
    return whole(into, (*before, length, *behind))


def _moved(draft: Draft, view: View, into: Result, start: int) -> bool:
    """Makes the step that gives a tensor write it to its place; whether it can."""
    result = view.tensor
    if not isinstance(result, Result) or result.slot != RESULT or view.scaling:
        return False
    is_whole = np.array_equal(view.places.ravel(), np.arange(result.size))
    fits = result.columns == into.columns and result.columns % _VECTOR == 0
    if not is_whole or not fits or (result.f32 is not None and result.f32.home is not None):
        return False
    draft.f32(result).home = Place(draft.f32(into), start * FLOAT_BYTES)
    return True


def pad(draft: Draft, node: ir.Node) -> View:
    """A constant before and behind, along one axis."""
    view = draft.view(node.inputs[0])
    if node.attributes.get_string("mode", "constant") != "constant" or len(node.inputs) > 3:
        raise UnsupportedError("it does not add a constant")
    pads = known(draft, node, 1).reshape(2, len(view.shape))
    value = known(draft, node, 2) if len(node.inputs) > 2 else np.float32(0)
    padded = [int(axis) for axis in np.flatnonzero(pads.any(0))]
    if len(padded) != 1 or (pads < 0).any():
        raise UnsupportedError("it adds to more than one axis")
    (axis,) = padded
    before, behind = (_filled(view, axis, int(size), value) for size in pads[:, axis])
    return joined(draft, [*before, view, *behind], axis)


def _filled(view: View, axis: int, size: int, value: Any) -> list[View]:
    """What is put beside a tensor: nothing where the size is 0."""
    shape = tuple(size if i == axis else n for i, n in enumerate(view.shape))
    return [numbers(np.full(shape, value, np.float32))] if size else []

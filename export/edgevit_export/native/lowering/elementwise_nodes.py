"""Functions of single numbers, and sums, products, ... of two tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit_export.convert.graph import given
from edgevit_export.native import plan
from edgevit_export.native.draft.draft import FLOAT_BYTES, Draft
from edgevit_export.native.draft.pictures import pixels_as_floats
from edgevit_export.native.draft.reading import copied, float_rows
from edgevit_export.native.draft.tensors import (
    Numbers,
    Pixels,
    Places,
    Result,
    UnsupportedError,
    View,
    order_of,
    strides_of,
    whole,
)
from edgevit_export.native.lowering.residual_pattern import added_to_product, unread_product
from edgevit_export.native.lowering.view_nodes import known
from edgevit_export.native.plan import Constant, Place

UNARY = {
    "Relu": plan.UNARY_RELU,
    "Gelu": plan.UNARY_GELU,
    "HardSwish": plan.UNARY_HARD_SWISH,
    "Sin": plan.SINE,
    "HardSigmoid": plan.HARD_SIGMOID,
    "Sqrt": plan.ROOT,
    "Exp": plan.EXPONENTIAL,
    "Erf": plan.ERF,
}
_ACTIVATIONS = {
    plan.UNARY_RELU: plan.RELU,
    plan.UNARY_GELU: plan.GELU,
    plan.UNARY_HARD_SWISH: plan.HARD_SWISH,
}
BINARY = {
    "Add": (plan.ADD, np.add),
    "Sub": (plan.SUBTRACT, np.subtract),
    "Mul": (plan.MULTIPLY, np.multiply),
    "Div": (plan.DIVIDE, np.divide),
}
_SLOPE = 1 / 6  # of the hard sigmoid that the engine knows

# A number's place, and the steps from row to row and, 0 or 1, from column to column.
_Operand = tuple[Place, int, int]


def unary(draft: Draft, node: ir.Node) -> View:
    if node.op_type == "HardSigmoid":
        slope = node.attributes.get_float("alpha", 0.2)
        if not np.isclose(slope, _SLOPE) or node.attributes.get_float("beta", 0.5) != 0.5:
            raise UnsupportedError("the engine's hard sigmoid is clip(x / 6 + 1 / 2)")
    if node.op_type == "Gelu" and node.attributes.get_string("approximate", "none") != "none":
        raise UnsupportedError("the engine's GELU is exact")
    return applied(draft, given(node.inputs[0]), UNARY[node.op_type], (node,))


def applied(draft: Draft, value: ir.Value, function: int, readers: tuple[ir.Node, ...]) -> View:
    """A function of a tensor: a part of the product that gives it, if only ``readers`` read it."""
    view = draft.view(value)
    step, activation = unread_product(view), _ACTIVATIONS.get(function)
    if step and activation and draft.is_alone(value, *readers):
        op = step.op
        if op.activation == plan.NONE and op.residual is None:
            step.op = replace(op, activation=activation)
            return View(view.tensor, view.places)
    return _unary_step(draft, view, function)


def _unary_step(draft: Draft, view: View, function: int) -> View:
    order, size = order_of(view.places), view.places.size
    columns = view.tensor.columns if isinstance(view.tensor, Result) else view.shape[-1]
    columns = columns if size % columns == 0 else size
    rows = float_rows(draft, view.at(view.places.ravel()[order]), size // columns, columns)
    op = plan.Unary(
        name=draft.name(),
        function=function,
        src=rows.place,
        rows=size // columns,
        columns=columns,
        src_stride=rows.stride,
    )
    return _as_ordered(draft.emit(op, size // columns, columns), order, view.shape)


def power(draft: Draft, node: ir.Node) -> View:
    """A square, as a product."""
    exponent = known(draft, node, 1)
    if exponent.size != 1 or exponent.item() != 2:
        raise UnsupportedError(f"of powers only squares are taken; got exponent {exponent}")
    view = draft.view(node.inputs[0])
    if isinstance(view.tensor, Pixels):
        table = view.tensor.table * view.tensor.table
        return View(replace(view.tensor, table=table), view.places)
    return of_two(draft, plan.MULTIPLY, (view, view))


def binary(draft: Draft, node: ir.Node) -> View:
    """A table of the picture, a part of a product, or an operation."""
    function, computed = BINARY[node.op_type]
    a, b = (draft.view(value) for value in node.inputs)
    found = _of_pixels(a, b.constant, computed)
    found = found or _of_pixels(b, a.constant, lambda x, y: computed(y, x))
    if found is None and function == plan.ADD:
        found = added_to_product(draft, node)
    return found or of_two(draft, function, (a, b))


def _of_pixels(
    view: View, constant: NDArray[Any] | None, function: Callable[[Any, Any], Any]
) -> View | None:
    """A function of the picture and a constant for every channel, as a table."""
    pixels = view.tensor
    if constant is None or not isinstance(pixels, Pixels) or view.scaling:
        return None
    if np.broadcast_shapes(view.shape, constant.shape) != view.shape:
        return None
    spread = np.broadcast_to(constant, view.shape)
    column = np.zeros((3, 1), np.float32)
    for channel in range(3):
        found = np.unique(spread[view.places % 3 == channel])
        if found.size > 1:
            return None
        column[channel] = found
    table = np.asarray(function(pixels.table, column), np.float32)
    return View(replace(pixels, table=table), view.places)


# Two tensors -------------------------------------------------------------------------------------


def of_two(draft: Draft, function: int, pair: Sequence[View]) -> View:
    """In the order of the operand that lies in full; the other is repeated as it has to be."""
    views = [pixels_as_floats(draft, v) if isinstance(v.tensor, Pixels) else v for v in pair]
    shape = np.broadcast_shapes(*(view.shape for view in views))
    spread = [view.at(np.broadcast_to(view.places, shape)) for view in views]
    order = _common_order(spread)
    flat = [view.at(view.places.ravel()[order]) for view in spread]
    columns, (a, b) = _operands(draft, flat, shape[-1])
    op = plan.Binary(
        name=draft.name(),
        function=function,
        a=a[0],
        a_row_stride=a[1],
        a_column_stride=a[2],
        b=b[0],
        b_row_stride=b[1],
        b_column_stride=b[2],
        rows=order.size // columns,
        columns=columns,
    )
    return _as_ordered(draft.emit(op, order.size // columns, columns), order, shape)


def _operands(draft: Draft, views: Sequence[View], last: int) -> tuple[int, list[_Operand]]:
    """(columns, both operands): the first width that fits them, or copies of the last axis'.

    Where none fits both, an operand that does not lie in rows as long as the last axis is copied.
    """
    size = views[0].places.size
    for columns in _widths(views, last):
        found = [_operand(draft, view, size // columns, columns) for view in views]
        operands = [operand for operand in found if operand is not None]
        if len(operands) == len(views):
            return columns, operands
    copies = [
        view
        if _operand(draft, view, size // last, last)
        else copied(draft, view, size // last, last)
        for view in views
    ]
    return _operands(draft, copies, last)


def _widths(views: Sequence[View], last: int) -> Iterator[int]:
    """Numbers of columns to try."""
    size = views[0].places.size
    found = [view.tensor.columns for view in views if isinstance(view.tensor, Result)]
    return (columns for columns in dict.fromkeys([*found, last, size]) if size % columns == 0)


def _operand(draft: Draft, view: View, rows: int, columns: int) -> _Operand | None:
    """A tensor as rows; None where it does not lie so."""
    places = view.places.reshape(rows, columns)
    if isinstance(view.tensor, Numbers):
        return _repeated(view.tensor.values[places].astype(np.float32))
    found = strides_of(places)
    if found is None or not isinstance(view.tensor, Result):
        return None
    first, (row, column) = found
    if column not in (0, 1, None):
        return None
    place = Place(draft.f32(view.tensor), first * FLOAT_BYTES)
    return place, row or 0, 1 if column is None else column


def _repeated(values: NDArray[np.float32]) -> _Operand:
    """A constant without its repetitions."""
    row, column = values.shape[1], 1
    if (values == values[:1]).all():
        values, row = values[:1], 0
    if (values == values[:, :1]).all():
        values, row, column = values[:, :1], min(row, 1), 0
    return Place(Constant(np.ascontiguousarray(values))), row, column


def _common_order(views: Sequence[View]) -> Places:
    """The order in which the first tensor that is nowhere repeated lies."""
    for view in views:
        if isinstance(view.tensor, Result) and np.unique(view.places).size == view.places.size:
            return order_of(view.places)
    return np.arange(views[0].places.size)


def _as_ordered(result: Result, order: Places, shape: tuple[int, ...]) -> View:
    """The view of a result whose elements are those of a tensor in some order."""
    places = np.empty(result.size, np.int64)
    places[order] = np.arange(result.size)
    return whole(result).at(places.reshape(shape))

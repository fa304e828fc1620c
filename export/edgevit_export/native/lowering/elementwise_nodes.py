"""Functions of single numbers and sums, products, ... of two tensors.

What follows a product becomes a part of it: an activation, then the sum with another tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit_export.convert.graph import given
from edgevit_export.native import plan
from edgevit_export.native.lowering.draft import Draft, Rows
from edgevit_export.native.lowering.shape_nodes import known
from edgevit_export.native.lowering.tensors import (
    Numbers,
    Pixels,
    Places,
    Result,
    UnsupportedError,
    View,
    strides_of,
    whole,
)
from edgevit_export.native.plan import Constant, Conv, Depthwise, Place

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


def unary(draft: Draft, node: ir.Node) -> View:
    if node.op_type == "HardSigmoid":
        slope = node.attributes.get_float("alpha", 0.2)
        middle = node.attributes.get_float("beta", 0.5)
        if not np.isclose(slope, _SLOPE) or middle != 0.5:
            raise UnsupportedError("the engine's hard sigmoid is clip(x / 6 + 1 / 2)")
    if node.op_type == "Gelu" and node.attributes.get_string("approximate", "none") != "none":
        raise UnsupportedError("the engine's GELU is exact")
    return applied(draft, given(node.inputs[0]), UNARY[node.op_type], (node,))


def applied(draft: Draft, value: ir.Value, function: int, readers: tuple[ir.Node, ...]) -> View:
    """A function of a tensor: a part of the product that gives it, if only ``readers`` read it."""
    view = draft.view(value)
    step = _product_of(view)
    activation = _ACTIVATIONS.get(function)
    if step and activation and draft.is_alone(value, *readers):
        op = step.op
        if isinstance(op, Conv) and op.activation == plan.NONE and op.residual is None:
            step.op = replace(op, activation=activation)
            return View(view.tensor, view.places)
    return _unary_step(draft, view, function)


def _product_of(view: View) -> Any:
    """The step of a product whose whole result a view shows, and that nothing has read yet."""
    result = view.tensor
    if not isinstance(result, Result) or view.scaling or not result.is_unread:
        return None
    if result.step is None or not isinstance(result.step.op, Conv) or not view.is_everything:
        return None
    return result.step


def _unary_step(draft: Draft, view: View, function: int) -> View:
    order = _order(view.places)
    size = view.places.size
    columns = view.tensor.columns if isinstance(view.tensor, Result) else view.shape[-1]
    columns = columns if size % columns == 0 else size
    rows = draft.float_rows(view.at(view.places.ravel()[order]), size // columns, columns)
    op = plan.Unary(
        name=draft.name,
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
    return _binary_step(draft, plan.MULTIPLY, (view, view))


def binary(draft: Draft, node: ir.Node) -> View:
    function, computed = BINARY[node.op_type]
    a, b = (draft.view(value) for value in node.inputs)
    for view, other in ((a, b), (b, a)):
        constant = other.constant
        if isinstance(view.tensor, Pixels) and constant is not None and not view.scaling:
            found = _of_pixels(view, constant, computed, view is b)
            if found is not None:
                return found
    if function == plan.ADD:
        found = _added_to_product(draft, node, a, b)
        if found is not None:
            return found
    return _binary_step(draft, function, (a, b))


def _of_pixels(
    view: View, constant: NDArray[Any], function: Any, is_second: bool
) -> View | None:
    """A function of the picture with a constant for every channel, as a table."""
    pixels = view.tensor
    if not isinstance(pixels, Pixels) or np.broadcast_shapes(view.shape, constant.shape) != (
        view.shape
    ):
        return None
    channels = view.places % 3
    spread = np.broadcast_to(constant, view.shape)
    values = [np.unique(spread[channels == c]) for c in range(3)]
    if any(value.size > 1 for value in values):
        return None
    column = np.array([value[0] if value.size else 0 for value in values], np.float32)[:, None]
    pair = (column, pixels.table) if is_second else (pixels.table, column)
    return View(replace(pixels, table=function(*pair).astype(np.float32)), view.places)


# Residual sums -----------------------------------------------------------------------------------


def _added_to_product(draft: Draft, node: ir.Node, a: View, b: View) -> View | None:
    """The sum of a product's result and something that was there before the product."""
    first, second = (given(value) for value in node.inputs)
    pairs = [(first, a, b), (second, b, a)]
    pairs.sort(key=lambda pair: -_ready(pair[1]))
    for value, view, other in pairs:
        step = _product_of(view)
        if step is None or isinstance(step.op, Depthwise) or step.op.residual is not None:
            continue
        if not draft.is_alone(value, node) or len(value.uses()) != 1:
            continue
        if _ready(other) >= step.number or isinstance(other.tensor, Pixels):
            continue
        rows = _residual_rows(draft, view, other)
        if rows is not None:
            step.op = replace(step.op, residual=rows.place, residual_stride=rows.stride)
            return View(view.tensor, view.places)
    return None


def _ready(view: View) -> int:
    return view.tensor.ready if isinstance(view.tensor, Result) else -1


def _residual_rows(draft: Draft, view: View, other: View) -> Rows | None:
    """Another tensor in the order of a product's result."""
    result = view.tensor
    if np.broadcast_shapes(view.shape, other.shape) != view.shape:
        return None
    if not isinstance(result, Result):
        return None
    spread = np.broadcast_to(other.places, view.shape).ravel()[_order(view.places)]
    if isinstance(other.tensor, Numbers):
        return draft.float_rows(other.at(spread), result.rows, result.columns)
    return draft.rows_of(other.at(spread), result.rows, result.columns)


# Two tensors -------------------------------------------------------------------------------------


def _binary_step(draft: Draft, function: int, pair: Sequence[View]) -> View:
    """In the order of the operand that lies in full; the other is repeated as it has to be."""
    views = [draft.pixels_as_floats(v) if isinstance(v.tensor, Pixels) else v for v in pair]
    shape = np.broadcast_shapes(*(view.shape for view in views))
    spread = [view.at(np.broadcast_to(view.places, shape)) for view in views]
    order = _common_order(spread)
    size = int(np.prod(shape))
    flat = [view.at(view.places.ravel()[order]) for view in spread]
    for columns in _widths(spread, size):
        operands = [_operand(draft, view, size // columns, columns) for view in flat]
        if None not in operands:
            break
    else:
        columns = shape[-1]
        flat = [
            v if isinstance(v.tensor, Numbers) else draft.gathered(v, size // columns, columns)
            for v in flat
        ]
        operands = [_operand(draft, view, size // columns, columns) for view in flat]
    (a, a_row, a_column), (b, b_row, b_column) = (operand for operand in operands if operand)
    op = plan.Binary(
        name=draft.name,
        function=function,
        a=a,
        a_row_stride=a_row,
        a_column_stride=a_column,
        b=b,
        b_row_stride=b_row,
        b_column_stride=b_column,
        rows=size // columns,
        columns=columns,
    )
    return _as_ordered(draft.emit(op, size // columns, columns), order, shape)


def _common_order(views: Sequence[View]) -> Places:
    """The order in which the first tensor that is nowhere repeated lies."""
    for view in views:
        if isinstance(view.tensor, Result) and np.unique(view.places).size == view.places.size:
            return _order(view.places)
    return np.arange(views[0].places.size)


def _widths(views: Sequence[View], size: int) -> Iterator[int]:
    """Numbers of columns to try."""
    found = [view.tensor.columns for view in views if isinstance(view.tensor, Result)]
    found += [views[0].shape[-1], size]
    return (columns for columns in dict.fromkeys(found) if size % columns == 0)


def _operand(
    draft: Draft, view: View, rows: int, columns: int
) -> tuple[Place, int, int] | None:
    """(the first number, the step from row to row, and 1 or 0 from column to column)."""
    places = view.places.reshape(rows, columns)
    if isinstance(view.tensor, Numbers):
        return _repeated(view.tensor.values[places].astype(np.float32))
    found = strides_of(places)
    if found is None or not isinstance(view.tensor, Result):
        return None
    first, (row, column) = found
    if column not in (0, 1, None):
        return None
    return Place(draft.f32(view.tensor), first * 4), row or 0, 1 if column is None else column


def _repeated(values: NDArray[np.float32]) -> tuple[Place, int, int]:
    """A constant without its repetitions."""
    row, column = values.shape[1], 1
    if (values == values[:1]).all():
        values, row = values[:1], 0
    if (values == values[:, :1]).all():
        values, row, column = values[:, :1], min(row, 1), 0
    return Place(Constant(np.ascontiguousarray(values))), row, column


def _order(places: Places) -> Places:
    """In which order the elements of a tensor lie in memory."""
    return np.argsort(places, axis=None, kind="stable")


def _as_ordered(result: Result, order: Places, shape: tuple[int, ...]) -> View:
    """The view of a result whose elements are those of a tensor in some order."""
    places = np.empty(result.size, np.int64)
    places[order] = np.arange(result.size)
    return whole(result).at(places.reshape(shape))

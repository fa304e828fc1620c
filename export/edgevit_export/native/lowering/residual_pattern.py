"""product + x, where x was there before the product: the product adds it.

What is the same in every row becomes a part of the bias.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgevit_export.convert.graph import given
from edgevit_export.native.draft.draft import Draft
from edgevit_export.native.draft.reading import Rows, float_rows, rows_of
from edgevit_export.native.draft.tensors import (
    Floats,
    Numbers,
    Pixels,
    Result,
    Step,
    View,
    order_of,
)
from edgevit_export.native.plan import NONE, Constant, Conv, Depthwise, Place


def added_to_product(draft: Draft, node: ir.Node) -> View | None:
    """The result of an Add that a product does; None where none can."""
    values = [given(value) for value in node.inputs]
    for value in sorted(values, key=lambda value: -_ready(draft.view(value))):
        view, other = draft.view(value), draft.view(values[1 - values.index(value)])
        step = unread_product(view)
        if step is None or len(value.uses()) != 1 or not draft.is_alone(value, node):
            continue
        if _is_bias(view, other, step):
            return View(view.tensor, view.places)
        rows = _residual_rows(draft, view, other, step)
        if rows is not None:
            step.op = replace(step.op, residual=rows.place, residual_stride=rows.stride)
            return View(view.tensor, view.places)
    return None


def unread_product(view: View) -> Step[Conv] | None:
    """The step of a product whose whole result a view shows, and that nothing has read yet."""
    result = view.tensor
    if not isinstance(result, Result) or view.scaling or not result.is_unread:
        return None
    step = result.step
    if step is None or not isinstance(step.op, Conv) or not view.is_everything:
        return None
    return step


def _is_bias(view: View, other: View, step: Step[Conv]) -> bool:
    """Adds a constant to the bias of a product, if it is the same in every row; whether it is."""
    result, values, bias = view.tensor, other.constant, step.op.bias
    if values is None or not isinstance(result, Result) or step.op.activation != NONE:
        return False
    if np.broadcast_shapes(view.shape, values.shape) != view.shape:
        return False
    spread = np.broadcast_to(values, view.shape).ravel()[order_of(view.places)]
    rows = spread.reshape(result.rows, result.columns)
    if (rows != rows[:1]).any() or not isinstance(bias.block, Constant):
        return False
    former: Floats = bias.block.values
    added = np.pad(rows[0], (0, former.size - result.columns))
    step.op = replace(step.op, bias=Place(Constant((former + added).astype(np.float32))))
    return True


def _ready(view: View) -> int:
    """The number of the step after which a tensor is there."""
    return view.tensor.ready if isinstance(view.tensor, Result) else -1


def _residual_rows(draft: Draft, view: View, other: View, step: Step[Conv]) -> Rows | None:
    """Another tensor in the order of a product's result."""
    result = view.tensor
    if isinstance(step.op, Depthwise) or step.op.residual is not None:
        return None
    if not isinstance(result, Result) or _ready(other) >= step.number:
        return None
    if np.broadcast_shapes(view.shape, other.shape) != view.shape:
        return None
    spread = np.broadcast_to(other.places, view.shape).ravel()[order_of(view.places)]
    if isinstance(other.tensor, Numbers):
        return float_rows(draft, other.at(spread), result.rows, result.columns)
    if isinstance(other.tensor, Pixels):
        return None
    return rows_of(draft, other.at(spread), result.rows, result.columns)

"""A plan that is being put together: the steps so far, and the view of every ONNX tensor.

A step's result gets a buffer when something reads it, as float32 or as uint8. So what only
quantized products read is never written as float, and nobody has to look ahead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from edgevit.inference.node_names import SEPARATOR, module_of
from edgevit_export.convert.graph import given, weight_values
from edgevit_export.native.arena import aligned
from edgevit_export.native.draft.tensors import (
    ASSIGNMENT,
    PARTS,
    RESULT,
    Result,
    Scaling,
    Step,
    UnsupportedError,
    View,
    numbers,
)
from edgevit_export.native.plan import Buffer, Op, Output, Place

FLOAT_BYTES = 4


class Draft:
    """node_name: of the node that is lowered now. done: nodes that need no operation of their own.

    endings: what gives the result of a pattern, by its last node.
    copies: results that are there once more, by what they are copies of.
    transposed: whole results that are there once more in another order, as the views of the copy
    that have the results' own order.
    """

    def __init__(self) -> None:
        self.steps: list[Step[Any]] = []
        self.views: dict[ir.Value, View] = {}
        self.done: set[ir.Node] = set()
        self.endings: dict[ir.Node, Callable[[], View]] = {}
        self.copies: dict[object, Result] = {}
        self.transposed: dict[Result, View] = {}
        self.node_name = ""
        self.superpixel_map: Place | None = None
        self.map_side = 0
        self._names: Counter[str] = Counter()

    # Views ---------------------------------------------------------------------------------------

    def view(self, value: ir.Value | None) -> View:
        """Of an input of a node."""
        value = given(value)
        if value not in self.views:
            self.views[value] = numbers(weight_values(value))
        return self.views[value]

    def is_known(self, value: ir.Value) -> bool:
        """Whether a tensor has a view by now."""
        return value in self.views or value.is_initializer()

    def is_alone(self, value: ir.Value, *readers: ir.Node) -> bool:
        """Whether nothing but these nodes reads a tensor, or what it is a view of."""
        if value.is_graph_output() or self.view(value).shared:
            return False
        return all(use.node in readers for use in value.uses())

    # Steps ---------------------------------------------------------------------------------------

    def name(self, kind: str | None = None) -> str:
        """A new operation's name: the node's, or ``MODULE/KIND`` of what stands beside it."""
        module = module_of(self.node_name)
        return self.node_name if kind is None else f"{module}{SEPARATOR}{kind}"

    def emit(self, op: Op, rows: int, columns: int, slot: str = RESULT) -> Result:
        """Adds an operation and gives its result."""
        self._names[op.name] += 1
        if self._names[op.name] > 1:
            op = replace(op, name=f"{op.name}_{self._names[op.name]}")
        step: Step[Any] = Step(op, len(self.steps))
        self.steps.append(step)
        return self.result_of(step, rows, columns, slot)

    def result_of(self, step: Step[Any], rows: int, columns: int, slot: str) -> Result:
        """A result of a step; most have one, which ``emit`` gives."""
        result = Result(rows, columns, slot, step, step.number, f32_stride=columns)
        step.results.append(result)
        return result

    def parts(self, rows: int, columns: int) -> Result:
        """A result that several steps will write, each a part."""
        return Result(rows, columns, PARTS, None, len(self.steps), f32_stride=columns)

    # Buffers -------------------------------------------------------------------------------------

    def f32(self, result: Result) -> Buffer:
        """The buffer of a result as float32."""
        if result.slot == ASSIGNMENT:
            raise UnsupportedError("the superpixels' cells are read by something else than pooling")
        if result.f32 is None:
            result.f32 = Buffer(result.size * FLOAT_BYTES)
        return result.f32

    def u8(self, result: Result, scaling: Scaling) -> Buffer:
        """The buffer of a new result as uint8."""
        result.u8, result.scaling = Buffer(result.size), scaling
        return result.u8

    # The end -------------------------------------------------------------------------------------

    def finished_ops(self) -> tuple[Op, ...]:
        """All operations with their buffers; those that nobody reads go."""
        return tuple(_finished(step) for step in self.steps if _is_read(step))


def scratch(size: int) -> Place:
    """Memory for one operation."""
    return Place(Buffer(aligned(size)))


def _is_read(step: Step[Any]) -> bool:
    return any(not result.is_unread for result in step.results)


def _finished(step: Step[Any]) -> Op:
    changes: dict[str, Any] = {result.slot: _argument(result) for result in step.results}
    op: Op = replace(step.op, **changes)
    return op


def _argument(result: Result) -> Output | Place | None:
    f32 = None if result.f32 is None else Place(result.f32)
    u8 = None if result.u8 is None else Place(result.u8)
    if result.slot != RESULT:
        return f32 or u8
    scaling = result.scaling
    return Output(
        f32=f32,
        f32_stride=result.f32_stride if f32 else 0,
        u8=u8,
        u8_stride=result.columns if u8 else 0,
        inverse_scale=float(np.float32(1) / np.float32(scaling.scale)) if scaling else 0.0,
        zero=scaling.zero if scaling else 0,
    )

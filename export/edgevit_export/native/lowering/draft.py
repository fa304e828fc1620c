"""A plan that is being put together: the steps so far, and the view of every ONNX tensor.

A step's result gets a buffer when something reads it, as float32 or as uint8. So what only
quantized products read is never written as float, and nobody has to look ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product as pairs_of
from typing import Any

import numpy as np
import onnx_ir as ir

from edgevit_export.convert.graph import given, weight_values
from edgevit_export.native import plan
from edgevit_export.native.arena import aligned
from edgevit_export.native.lowering.tensors import (
    PARTS,
    RESULT,
    Numbers,
    Pixels,
    Places,
    Result,
    Scaling,
    Step,
    UnsupportedError,
    View,
    numbers,
    strides_of,
    whole,
)
from edgevit_export.native.plan import Buffer, Constant, Op, Output, Place

_FLOAT_BYTES = 4
_MOST_COPIES = 64


@dataclass(frozen=True)
class Rows:
    """Rows in memory; the stride is in elements."""

    place: Place
    stride: int


class Draft:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.views: dict[ir.Value, View] = {}
        self.done: set[ir.Node] = set()  # nodes that an operation of another node stands for
        self.attentions: dict[ir.Node, Any] = {}  # by the node that ends each
        self.name = ""
        self.superpixel_map: Place | None = None
        self.map_side = 0
        self._quantized: dict[tuple[int, Scaling], Result] = {}
        self._pictures: dict[tuple[object, ...], Result] = {}

    # Views ---------------------------------------------------------------------------------------

    def view(self, value: ir.Value | None) -> View:
        """Of an input of a node."""
        value = given(value)
        if value not in self.views:
            self.views[value] = numbers(weight_values(value))
        return self.views[value]

    def is_alone(self, value: ir.Value, *readers: ir.Node) -> bool:
        """Whether nothing but these nodes reads a tensor, or what it is a view of."""
        if value.is_graph_output() or self.view(value).shared:
            return False
        return all(use.node in readers for use in value.uses())

    # Steps ---------------------------------------------------------------------------------------

    def emit(self, op: Op, rows: int, columns: int, slot: str = RESULT) -> Result:
        """Adds an operation and gives its result."""
        step = Step(op, len(self.steps))
        self.steps.append(step)
        return self.result_of(step, rows, columns, slot)

    def result_of(self, step: Step, rows: int, columns: int, slot: str) -> Result:
        result = Result(rows, columns, slot, step, step.number, f32_stride=columns)
        step.results.append(result)
        return result

    def copy(self, rows: Rows, count: int, columns: int, into: Result, start: int) -> None:
        """A step that copies float rows into a part of a result of several steps."""
        op = plan.Unary(
            name=self.name,
            function=plan.COPY,
            src=rows.place,
            rows=count,
            columns=columns,
            src_stride=rows.stride,
        )
        part = self.emit(op, count, columns)
        part.f32 = Buffer(0, Place(self.f32(into), start * _FLOAT_BYTES))
        part.f32_stride = into.columns
        into.ready = part.ready

    def parts(self, rows: int, columns: int) -> Result:
        """A result that several steps will write, each a part."""
        return Result(rows, columns, PARTS, None, len(self.steps), f32_stride=columns)

    # Reading -------------------------------------------------------------------------------------

    def f32(self, result: Result) -> Buffer:
        """The buffer of a result as float32."""
        if result.slot == "assignment":
            raise UnsupportedError("the superpixels' cells are read by something else than pooling")
        if result.f32 is None:
            result.f32 = Buffer(result.size * _FLOAT_BYTES)
        return result.f32

    def float_rows(self, view: View, rows: int, columns: int) -> Rows:
        """A view as float rows; it is copied first where it does not lie in rows."""
        if isinstance(view.tensor, Numbers):
            values = view.tensor.values[view.places].astype(np.float32)
            return Rows(Place(Constant(values.reshape(rows, columns))), columns)
        if isinstance(view.tensor, Pixels):
            view = self.pixels_as_floats(view)
        found = self.rows_of(view, rows, columns)
        return found or self.float_rows(self.gathered(view, rows, columns), rows, columns)

    def rows_of(self, view: View, rows: int, columns: int) -> Rows | None:
        """The same, of a result, where no copy is needed."""
        result = view.tensor
        if not isinstance(result, Result):
            return None
        found = _first_and_stride(view.places.reshape(rows, columns))
        if found is None:
            return None
        return Rows(Place(self.f32(result), found[0] * _FLOAT_BYTES), found[1])

    def byte_rows(self, view: View, rows: int, columns: int) -> Rows:
        """A quantized view as rows of uint8."""
        if view.scaling is None:
            raise ValueError("the view is not quantized")
        if isinstance(view.tensor, Pixels):
            view = self.pixels_as_bytes(view, view.scaling)
        result = self._with_bytes(view.tensor, view.scaling)
        found = _first_and_stride(view.places.reshape(rows, columns))
        if found is None or result.u8 is None or found[0] % 4 or found[1] % 4:
            copied = replace(self.gathered(view, rows, columns), scaling=view.scaling)
            return self.byte_rows(copied, rows, columns)
        return Rows(Place(result.u8, found[0]), found[1])

    def _with_bytes(self, result: object, scaling: Scaling | None) -> Result:
        """A result, or a copy of it, that is given as uint8."""
        if not isinstance(result, Result) or scaling is None:
            raise UnsupportedError("constants are quantized while the model runs")
        if result.slot == RESULT and result.u8 is None:
            result.u8, result.scaling = Buffer(result.size), scaling
        if result.scaling == scaling:
            return result
        if (id(result), scaling) not in self._quantized:
            rows = Rows(Place(self.f32(result)), result.columns)
            op = plan.Unary(
                name=self.name,
                function=plan.COPY,
                src=rows.place,
                rows=result.rows,
                columns=result.columns,
                src_stride=rows.stride,
            )
            copy = self.emit(op, result.rows, result.columns)
            copy.u8, copy.scaling = Buffer(copy.size), scaling
            self._quantized[id(result), scaling] = copy
        return self._quantized[id(result), scaling]

    # Copies --------------------------------------------------------------------------------------

    def gathered(self, view: View, rows: int, columns: int) -> View:
        """A copy of a view that lies in rows, made block by block."""
        if isinstance(view.tensor, Pixels):
            view = self.pixels_as_floats(view)
        places = view.places.reshape(rows, columns)
        down, across = _blocks(places)
        height, width = rows // down, columns // across
        into = self.parts(rows, columns)
        for i, j in pairs_of(range(down), range(across)):
            block = places[i * height : (i + 1) * height, j * width : (j + 1) * width]
            source = self.rows_of(view.at(block), height, width)
            if source is None:
                raise UnsupportedError("a block that was found to be regular is not")
            self.copy(source, height, width, into, i * height * columns + j * width)
        return whole(into, view.shape)

    # The picture ---------------------------------------------------------------------------------

    def pixels_as_floats(self, view: View) -> View:
        """A view of the picture as a view of a float result, in the order that it asks for."""
        pixels = _pixels(view)
        side = _patch_side(view, pixels)
        key = (side, pixels.table.tobytes())
        if key not in self._pictures:
            op = self._picture(pixels.table, side or pixels.width, is_float=True, fill=None)
            self._pictures[key] = self._picture_result(op, pixels, side, 3)
        return _seen(view, self._pictures[key], side)

    def pixels_as_bytes(self, view: View, scaling: Scaling) -> View:
        """The same as bytes. Pixels in raster order get a fourth channel, which is zero."""
        pixels = _pixels(view)
        side = _patch_side(view, pixels)
        key = (side, pixels.table.tobytes(), scaling)
        channels = 3 if side else 4
        if key not in self._pictures:
            table = np.rint(pixels.table / np.float32(scaling.scale)) + scaling.zero
            fill = None if side else scaling.zero
            content = np.clip(table, 0, 255).astype(np.uint8)
            op = self._picture(content, side or pixels.width, is_float=False, fill=fill)
            result = self._picture_result(op, pixels, side, channels)
            result.u8, result.scaling = Buffer(result.size), scaling
            self._pictures[key] = result
        result = self._pictures[key]
        if side:
            return _seen(view, result, side)
        return replace(view, tensor=result, places=view.places // 3 * 4 + view.places % 3)

    def _picture(
        self, table: np.ndarray, patch: int, *, is_float: bool, fill: int | None
    ) -> plan.Picture:
        return plan.Picture(
            name=self.name,
            is_float=int(is_float),
            channels=3 if fill is None else 4,
            patch=patch,
            table=Place(Constant(np.ascontiguousarray(table))),
            fill=fill or 0,
        )

    def _picture_result(
        self, op: plan.Picture, pixels: Pixels, side: int, channels: int
    ) -> Result:
        places = pixels.height * pixels.width
        rows = places // side**2 if side else places
        return self.emit(op, rows, places * channels // rows, "dst")

    # The end -------------------------------------------------------------------------------------

    def finished_ops(self) -> tuple[Op, ...]:
        """All operations with their buffers; those that nobody reads go."""
        return tuple(_finished(step) for step in self.steps if _is_read(step))


def _first_and_stride(places: Places) -> tuple[int, int] | None:
    """(the first place, from row to row) of rows of neighbours."""
    found = strides_of(places)
    if found is None or found[1][1] not in (1, None):
        return None
    first, (stride, _) = found
    return first, places.shape[1] if stride is None else stride


def _blocks(places: Places) -> tuple[int, int]:
    """(down, across): into how few equal blocks of regular rows a matrix can be cut."""
    rows, columns = places.shape
    cuts = sorted(pairs_of(_divisors(rows), _divisors(columns)), key=lambda cut: cut[0] * cut[1])
    for down, across in cuts:
        if down * across > _MOST_COPIES:
            break
        height, width = rows // down, columns // across
        blocks = places.reshape(down, height, across, width).swapaxes(1, 2)
        if all(
            _first_and_stride(block) is not None for block in blocks.reshape(-1, height, width)
        ):
            return down, across
    raise UnsupportedError(f"its {rows} rows of {columns} are scattered over another tensor")


def _divisors(number: int) -> Iterator[int]:
    return (d for d in range(1, min(number, _MOST_COPIES) + 1) if number % d == 0)


def _pixels(view: View) -> Pixels:
    if not isinstance(view.tensor, Pixels):
        raise TypeError("this is no view of the picture")
    return view.tensor


def _patch_side(view: View, pixels: Pixels) -> int:
    """The side of the patches whose order a view has; 0 if it has another order."""
    places = view.places.ravel()
    if places.size != pixels.height * pixels.width * 3 or places[0] != 0:
        return 0
    breaks = np.flatnonzero(np.diff(places) != 1)
    first = int(breaks[0]) + 1 if breaks.size else 0
    side = first // 3
    if side < 2 or first % 3 or pixels.height % side or pixels.width % side:
        return 0
    return side if np.array_equal(places, pixels.in_patches(side)) else 0


def _seen(view: View, result: Result, side: int) -> View:
    """The view of what a picture operation gives."""
    if side:
        return replace(view, tensor=result, places=np.arange(result.size).reshape(view.shape))
    return replace(view, tensor=result)


def _is_read(step: Step) -> bool:
    return any(not result.is_unread for result in step.results)


def _finished(step: Step) -> Op:
    changes = {result.slot: _argument(result) for result in step.results}
    return replace(step.op, **changes)


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


def scratch(size: int) -> Place:
    """Memory for one operation."""
    return Place(Buffer(aligned(size)))

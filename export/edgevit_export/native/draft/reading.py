"""A view as rows in memory, which is how operations read: copied first where it does not lie so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from edgevit_export.native import plan
from edgevit_export.native.draft.draft import FLOAT_BYTES, Draft
from edgevit_export.native.draft.pictures import pixels_as_bytes, pixels_as_floats
from edgevit_export.native.draft.tensors import (
    RESULT,
    Numbers,
    Pixels,
    Places,
    Result,
    Scaling,
    UnsupportedError,
    View,
    first_and_stride,
    whole,
)
from edgevit_export.native.draft.transposed import layouts_of, transposed
from edgevit_export.native.plan import Buffer, Constant, Place

_MOST_COPIES = 64


@dataclass(frozen=True)
class Rows:
    """Rows in memory; the stride is in elements."""

    place: Place
    stride: int


def float_rows(draft: Draft, view: View, rows: int, columns: int) -> Rows:
    """A view as float rows."""
    if isinstance(view.tensor, Numbers):
        values = view.tensor.values[view.places].astype(np.float32)
        return Rows(Place(Constant(values.reshape(rows, columns))), columns)
    if isinstance(view.tensor, Pixels):
        view = pixels_as_floats(draft, view)
    for layout in layouts_of(draft, view):
        found = rows_of(draft, layout, rows, columns)
        if found is not None:
            return found
    return float_rows(draft, copied(draft, view, rows, columns), rows, columns)


def rows_of(draft: Draft, view: View, rows: int, columns: int) -> Rows | None:
    """The same, of a result, where no copy is needed."""
    found = first_and_stride(view.places.reshape(rows, columns))
    if found is None or not isinstance(view.tensor, Result):
        return None
    return Rows(Place(draft.f32(view.tensor), found[0] * FLOAT_BYTES), found[1])


def byte_rows(draft: Draft, view: View, scaling: Scaling, rows: int, columns: int) -> Rows:
    """A quantized view as rows of uint8."""
    if isinstance(view.tensor, Pixels):
        view = pixels_as_bytes(draft, view, scaling)
    if not isinstance(view.tensor, Result):
        raise UnsupportedError("constants are quantized while the model runs")
    for layout in layouts_of(draft, view):
        found = first_and_stride(layout.places.reshape(rows, columns))
        is_aligned = found is not None and found[0] % 4 == 0 == found[1] % 4
        if found is not None and is_aligned and isinstance(layout.tensor, Result):
            return Rows(Place(_as_bytes(draft, layout.tensor, scaling), found[0]), found[1])
    return byte_rows(draft, copied(draft, view, rows, columns), scaling, rows, columns)


def _as_bytes(draft: Draft, result: Result, scaling: Scaling) -> Buffer:
    """The buffer of a result as uint8: its own, or a copy's."""
    if result.slot == RESULT and result.u8 is None:
        return draft.u8(result, scaling)
    if result.u8 is not None and result.scaling == scaling:
        return result.u8
    key = (id(result), scaling)
    if key not in draft.copies:
        rows = Rows(Place(draft.f32(result)), result.columns)
        draft.copies[key] = _copy(draft, "Quantize", rows, result.rows, result.columns)
    return draft.copies[key].u8 or draft.u8(draft.copies[key], scaling)


# Copies ------------------------------------------------------------------------------------------


def copied(draft: Draft, view: View, rows: int, columns: int) -> View:
    """A copy of a view that lies in rows: one transposition where that will do, or some blocks."""
    if isinstance(view.tensor, Pixels):
        view = pixels_as_floats(draft, view)
    return transposed(draft, view) or gathered(draft, view, rows, columns)


def _copy(draft: Draft, kind: str, rows: Rows, count: int, columns: int) -> Result:
    op = plan.Unary(
        name=draft.name(kind),
        function=plan.COPY,
        src=rows.place,
        rows=count,
        columns=columns,
        src_stride=rows.stride,
    )
    return draft.emit(op, count, columns)


def copy_to(draft: Draft, view: View, size: tuple[int, int], into: Result, start: int) -> None:
    """A step that copies float rows into a part of a result of several steps.

    Args:
        size: rows and columns of what is copied. start: the place of its first number.
    """
    count, columns = size
    part = _copy(draft, "Copy", float_rows(draft, view, count, columns), count, columns)
    part.f32 = Buffer(0, Place(draft.f32(into), start * FLOAT_BYTES))
    part.f32_stride = into.columns
    into.ready = part.ready


def gathered(draft: Draft, view: View, rows: int, columns: int) -> View:
    """The same, made block by block."""
    places = view.places.reshape(rows, columns)
    down, across = _blocks(places)
    height, width = rows // down, columns // across
    into = draft.parts(rows, columns)
    for i, j in product(range(down), range(across)):
        block = places[i * height : (i + 1) * height, j * width : (j + 1) * width]
        start = i * height * columns + j * width
        copy_to(draft, view.at(block), (height, width), into, start)
    return replace(whole(into, view.shape), scaling=view.scaling)


def _blocks(places: Places) -> tuple[int, int]:
    """(down, across): into how few equal blocks of regular rows a matrix can be cut."""
    rows, columns = places.shape
    cuts = product(_divisors(rows), _divisors(columns))
    for down, across in sorted(cuts, key=lambda cut: cut[0] * cut[1]):
        if down * across > _MOST_COPIES:
            break
        height, width = rows // down, columns // across
        blocks = places.reshape(down, height, across, width).swapaxes(1, 2)
        if all(first_and_stride(block) for block in blocks.reshape(-1, height, width)):
            return down, across
    raise UnsupportedError(f"its {rows} rows of {columns} are scattered over another tensor")


def _divisors(number: int) -> Iterator[int]:
    return (d for d in range(1, min(number, _MOST_COPIES) + 1) if number % d == 0)

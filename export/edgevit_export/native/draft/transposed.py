"""Results that are there once more with rows and columns exchanged.

Attention scores are read by query and by key, and convolved over either's plane. One layout serves
one of them: the other reads a transposed copy, which is made once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edgevit_export.native import plan
from edgevit_export.native.draft.draft import FLOAT_BYTES, Draft
from edgevit_export.native.draft.tensors import (
    Places,
    Result,
    View,
    evenly_spaced,
    first_and_stride,
    strides_of,
    whole,
)
from edgevit_export.native.plan import Place


def layouts_of(draft: Draft, view: View) -> Iterator[View]:
    """A view, and the same of the transposed copy of its result, if there is one."""
    yield view
    if isinstance(view.tensor, Result) and view.tensor in draft.transposed:
        copy = draft.transposed[view.tensor]
        yield replace(view, tensor=copy.tensor, places=copy.places[view.places])


def transposed(draft: Draft, view: View) -> View | None:
    """A copy of a view in its order, if a transposition of every batch of rows makes one."""
    result, places = view.tensor, view.places.ravel()
    shape = _transposition(places)
    if shape is None or not isinstance(result, Result):
        return None
    batches, columns, rows = shape
    first, (batch_stride, _, stride) = strides_of(places.reshape(shape)) or (0, (0, 0, 0))
    op = plan.Transpose(
        name=draft.name("Transpose"),
        src=Place(draft.f32(result), first * FLOAT_BYTES),
        batches=batches,
        rows=rows,
        columns=columns,
        batch_stride=batch_stride or 0,
        src_stride=stride or 0,
    )
    copy = draft.emit(op, batches * columns, rows)
    if view.is_everything:
        own_order = np.empty(places.size, np.int64)
        own_order[places] = np.arange(places.size)
        draft.transposed[result] = whole(copy).at(own_order)
    return replace(whole(copy, view.shape), scaling=view.scaling)


def _transposition(places: Places) -> tuple[int, int, int] | None:
    """(batches, columns, rows) whose transposition brings numbers into a row; None if none does."""
    if places.size < 2 or places[1] - places[0] < 2:  # they are neighbours already
        return None
    rows = evenly_spaced(places)
    has_neighbours = rows < places.size and places[rows] - places[0] == 1
    columns = evenly_spaced(places[::rows]) if has_neighbours else 1
    if places.size % (rows * columns):
        return None
    shape = (places.size // (rows * columns), columns, rows)
    found = strides_of(places.reshape(shape))
    is_forward = found is not None and all((stride or 0) >= 0 for stride in found[1])
    return shape if is_forward else None


def in_row_order(draft: Draft, view: View, columns: int) -> tuple[View, Places]:
    """(a matrix whose rows are in the order of memory, which rows of the view these are).

    For what treats all rows alike: rows that are scattered need not be copied.
    """
    layouts = layouts_of(draft, view) if isinstance(view.tensor, Result) else ()
    for layout in layouts:
        matrix = layout.places.reshape(-1, columns)
        order = np.argsort(matrix[:, 0], kind="stable")
        if first_and_stride(matrix[order]) is not None:
            return layout.at(matrix[order]), order
    matrix = view.places.reshape(-1, columns)
    return view.at(matrix), np.arange(len(matrix))


def in_column_order(draft: Draft, view: View, rows: int) -> tuple[View, Places]:
    """The same with columns, for what treats each of them by itself."""
    matrix = view.places.reshape(rows, -1)
    if not isinstance(view.tensor, Result):
        return view.at(matrix), np.arange(matrix.shape[1])
    for layout in layouts_of(draft, view):
        of_layout = layout.places.reshape(rows, -1)
        order = np.argsort(of_layout[0], kind="stable")
        if first_and_stride(of_layout[:, order]) is not None:
            return layout.at(of_layout[:, order]), order
    order = np.argsort(matrix[0], kind="stable")
    return view.at(matrix[:, order]), order

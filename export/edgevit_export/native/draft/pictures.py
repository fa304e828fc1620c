"""The picture as a model reads it: each pixel through a table, in raster order or in patches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit_export.native import plan
from edgevit_export.native.draft.draft import Draft
from edgevit_export.native.draft.tensors import Pixels, Result, Scaling, View
from edgevit_export.native.plan import Constant, Place


def pixels_as_floats(draft: Draft, view: View) -> View:
    """A view of the picture as one of a float result, in the order that the view asks for."""
    pixels = _pixels(view)
    side = _patch_side(view, pixels)
    key = (side, pixels.table.tobytes())
    if key not in draft.copies:
        draft.copies[key] = _emitted(draft, pixels, pixels.table, side, None)
    if side:
        return _in_order(view, draft.copies[key])
    return replace(view, tensor=draft.copies[key])


def pixels_as_bytes(draft: Draft, view: View, scaling: Scaling) -> View:
    """The same as bytes. Pixels in raster order get a fourth channel, which stands for zero."""
    pixels = _pixels(view)
    side = _patch_side(view, pixels)
    key = (side, pixels.table.tobytes(), scaling)
    if key not in draft.copies:
        scaled = np.rint(pixels.table / np.float32(scaling.scale)) + scaling.zero
        table = np.clip(scaled, 0, 255).astype(np.uint8)
        result = _emitted(draft, pixels, table, side, None if side else scaling.zero)
        draft.u8(result, scaling)
        draft.copies[key] = result
    result = draft.copies[key]
    if side:
        return _in_order(view, result)
    return replace(view, tensor=result, places=view.places // 3 * 4 + view.places % 3)


def _emitted(
    draft: Draft, pixels: Pixels, table: NDArray[Any], side: int, fill: int | None
) -> Result:
    """The operation. ``side``: of a patch, or 0. ``fill``: the fourth channel's value."""
    channels = 3 if fill is None else 4
    op = plan.Picture(
        name=draft.name("Picture"),
        is_float=int(table.dtype == np.float32),
        channels=channels,
        patch=side or pixels.width,
        table=Place(Constant(np.ascontiguousarray(table))),
        fill=fill or 0,
    )
    places = pixels.height * pixels.width
    rows = places // side**2 if side else places
    return draft.emit(op, rows, places * channels // rows, "dst")


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


def _in_order(view: View, result: Result) -> View:
    """The view of a result that lies in just the order of the view."""
    return replace(view, tensor=result, places=np.arange(result.size).reshape(view.shape))

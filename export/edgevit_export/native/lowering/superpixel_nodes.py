"""The custom ops ``edgevit::SuperpixelSlic`` and ``edgevit::SuperpixelPool``."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import onnx_ir as ir

from edgevit_export.native import plan
from edgevit_export.native.arena import aligned
from edgevit_export.native.draft.draft import Draft, scratch
from edgevit_export.native.draft.reading import float_rows
from edgevit_export.native.draft.tensors import (
    ASSIGNMENT,
    Pixels,
    Result,
    UnsupportedError,
    View,
    whole,
)
from edgevit_export.native.plan import Buffer, Place


def slic(draft: Draft, node: ir.Node) -> View:
    """[1, K, cells], which only pooling reads."""
    geometry = _geometry(node)
    _require_patches(draft.view(node.inputs[0]), geometry.patch_px)
    side = geometry.image_px // geometry.cell_px
    count = geometry.grid_rows * geometry.grid_columns
    size = aligned(4 * (16 * side**2 + 256 * count + 4096))
    op = plan.Slic(
        name=draft.name(),
        scratch=scratch(size),
        scratch_bytes=size,
        geometry=geometry,
        iterations=node.attributes.get_int("iterations", 0),
        coarse_iterations=node.attributes.get_int("coarse_iterations", 0),
        compactness=node.attributes.get_float("compactness", 0.0),
        relaxation=node.attributes.get_float("relaxation", 1.0),
    )
    assignment = draft.emit(op, count, side**2, ASSIGNMENT)
    assignment.u8 = Buffer(assignment.size)
    labels = draft.result_of(draft.steps[-1], side, side, "map")
    draft.superpixel_map, draft.map_side = Place(draft.f32(labels)), side
    return whole(assignment, (1, count, side**2))


def _require_patches(view: View, side: int) -> None:
    """The engine takes the superpixels of the picture itself."""
    pixels = view.tensor
    if (
        not isinstance(pixels, Pixels)
        or not (pixels.table == np.arange(256)).all()
        or not np.array_equal(view.places.ravel(), pixels.in_patches(side))
    ):
        raise UnsupportedError(f"its input is not the picture in patches of {side} pixels")


def pool(draft: Draft, node: ir.Node) -> list[View]:
    """Means [1, K, C], whether a superpixel has patches [1, K], centroids [1, K, 2]."""
    if len(node.outputs) > 3 and (node.outputs[3].uses() or node.outputs[3].is_graph_output()):
        raise UnsupportedError("which patch belongs to which superpixel is read")
    values, assignment = (draft.view(value) for value in node.inputs)
    cells = assignment.tensor
    if not isinstance(cells, Result) or cells.u8 is None or cells.slot != ASSIGNMENT:
        raise UnsupportedError("its second input is not the assignment of SuperpixelSlic")
    patches, channels = values.shape[-2:]
    rows = float_rows(draft, values, patches, channels)
    op = plan.Pool(
        name=draft.name(),
        src=rows.place,
        src_stride=rows.stride,
        channels=channels,
        assignment=Place(cells.u8),
        scratch=scratch(4 * cells.rows * patches),
        scratch_bytes=4 * cells.rows * patches,
        geometry=_geometry(node),
        soft=node.attributes.get_int("soft", 0),
    )
    means = draft.emit(op, cells.rows, channels, "means")
    draft.f32(means)  # which the engine always gives
    occupied, centroids = (
        draft.result_of(draft.steps[-1], cells.rows, columns, slot)
        for columns, slot in ((1, "occupied"), (2, "centroids"))
    )
    return [
        whole(means, (1, cells.rows, channels)),
        whole(occupied, (1, cells.rows)),
        whole(centroids, (1, cells.rows, 2)),
    ]


def _geometry(node: ir.Node) -> plan.Geometry:
    values = {entry.name: node.attributes[entry.name].as_int() for entry in fields(plan.Geometry)}
    return plan.Geometry(**values)

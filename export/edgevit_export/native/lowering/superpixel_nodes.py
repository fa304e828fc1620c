"""The custom ops ``edgevit::SuperpixelSlic`` and ``edgevit::SuperpixelPool``."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevit_export.native import plan
from edgevit_export.native.arena import aligned
from edgevit_export.native.lowering.draft import Draft, scratch
from edgevit_export.native.lowering.tensors import (
    Pixels,
    Result,
    Step,
    UnsupportedError,
    View,
    whole,
)
from edgevit_export.native.plan import Buffer, Place

_GEOMETRY = ("image_px", "patch_px", "cell_px", "grid_rows", "grid_columns")


def slic(draft: Draft, node: ir.Node) -> View:
    """[1, K, cells], which only pooling reads."""
    geometry = _integers(node, *_GEOMETRY, "iterations", "coarse_iterations")
    _require_patches(draft.view(node.inputs[0]), geometry["patch_px"])
    side = geometry["image_px"] // geometry["cell_px"]
    cells, count = side**2, geometry["grid_rows"] * geometry["grid_columns"]
    size = aligned(4 * (16 * cells + 256 * count + 4096))
    op = plan.Slic(
        name=draft.name,
        scratch=scratch(size),
        scratch_bytes=size,
        compactness=node.attributes.get_float("compactness", 0.0),
        relaxation=node.attributes.get_float("relaxation", 1.0),
        **geometry,
    )
    assignment = draft.emit(op, count, cells, "assignment")
    assignment.u8 = Buffer(assignment.size)
    step = draft.steps[-1]
    labels = draft.result_of(step, side, side, "map")
    draft.superpixel_map, draft.map_side = Place(draft.f32(labels)), side
    return whole(assignment, (1, count, cells))


def _require_patches(view: View, side: int) -> None:
    """The engine takes the superpixels of the picture itself."""
    pixels = view.tensor
    if isinstance(pixels, Pixels) and (pixels.table == np.arange(256)).all():
        if np.array_equal(view.places.ravel(), pixels.in_patches(side)):
            return
    raise UnsupportedError(f"its input is not the picture in patches of {side} pixels")


def pool(draft: Draft, node: ir.Node) -> list[View]:
    """Means [1, K, C], whether a superpixel has patches [1, K], centroids [1, K, 2]."""
    if len(node.outputs) > 3 and (node.outputs[3].uses() or node.outputs[3].is_graph_output()):
        raise UnsupportedError("which patch belongs to which superpixel is read")
    values, assignment = (draft.view(value) for value in node.inputs)
    cells = assignment.tensor
    if not isinstance(cells, Result) or cells.u8 is None or cells.slot != "assignment":
        raise UnsupportedError("its second input is not the assignment of SuperpixelSlic")
    patches, channels = values.shape[-2:]
    rows = draft.float_rows(values, patches, channels)
    size = 4 * cells.rows * patches
    op = plan.Pool(
        name=draft.name,
        src=rows.place,
        src_stride=rows.stride,
        channels=channels,
        assignment=Place(cells.u8),
        scratch=scratch(size),
        scratch_bytes=size,
        **_integers(node, *_GEOMETRY, "soft"),
    )
    means = draft.emit(op, cells.rows, channels, "means")
    draft.f32(means)
    step = draft.steps[-1]
    return [
        whole(means, (1, cells.rows, channels)),
        _beside(draft, step, cells.rows, 1, "occupied", (1, cells.rows)),
        _beside(draft, step, cells.rows, 2, "centroids", (1, cells.rows, 2)),
    ]


def _beside(
    draft: Draft, step: Step, rows: int, columns: int, slot: str, shape: tuple[int, ...]
) -> View:
    return whole(draft.result_of(step, rows, columns, slot), shape)


def _integers(node: ir.Node, *names: str) -> dict[str, int]:
    return {name: node.attributes.get_int(name, 0) for name in names}

"""The smallest native model files: one operation each, of a picture of 8 x 8 pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevit_export.native import plan
from edgevit_export.native.plan import Buffer, Constant, Geometry, Op, Output, Place, Plan
from edgevit_export.native.plan_file import plan_bytes

PICTURE_PX = 8
_GEOMETRY = Geometry(PICTURE_PX, 4, 2, 2, 2)
_CELLS, _PATCHES, _SUPERPIXELS = 16, 4, 4


def seeds() -> dict[str, bytes]:
    """Files by the name of their operation."""
    return {name: _file(op) for name, op in _operations().items()}


def _file(op: Op) -> bytes:
    answer = _result(op)
    return plan_bytes(Plan((op,), PICTURE_PX, PICTURE_PX, answer, 4))


def _result(op: Any) -> Place:
    """What stands for the logits: four numbers that the operation writes."""
    if isinstance(op, plan.Picture):
        return _place(op.dst)
    if isinstance(op, plan.Slic):
        return _place(op.map)
    if isinstance(op, plan.Pool):
        return _place(op.means)
    return _place(op.output.f32)


def _place(place: Place | None) -> Place:
    assert place is not None
    return place


def _arena(size: int) -> Place:
    return Place(Buffer(size))


def _floats(*shape: int) -> Place:
    count = int(np.prod(shape))
    return Place(Constant(np.linspace(-1, 1, count, dtype=np.float32).reshape(shape)))


def _bytes(*shape: int) -> Place:
    return Place(Constant((np.arange(np.prod(shape)) % 7 - 3).astype(np.int8).reshape(shape)))


def _output(rows: int, columns: int) -> Output:
    """Both forms of a result."""
    size = rows * columns + 16
    return Output(_arena(4 * size), columns, _arena(size), columns, 10.0, 128)


def _convolution(kind: type[plan.Conv], quantized: bool) -> plan.Conv:
    """A kernel of 3 x 3 on a map of 2 x 2 places, eight channels."""
    channels, depthwise = 8, kind is plan.Depthwise
    padded = channels if depthwise else 16
    inputs = 9 if depthwise else 9 * channels
    weights = _floats(inputs, padded) if not quantized else _bytes((inputs + 1) // 2 * 2, padded)
    return kind(
        name="conv",
        src=_arena(4 * channels) if quantized else _floats(4, channels),
        is_float=int(not quantized),
        height=2,
        width=2,
        channels=channels,
        src_stride=channels,
        out_height=2,
        out_width=2,
        outputs=channels,
        kernel_h=3,
        kernel_w=3,
        stride_h=1,
        stride_w=1,
        pad_h=1,
        pad_w=1,
        weights=weights,
        scales=_floats(padded) if quantized else None,
        sums=Place(Constant(np.arange(padded, dtype=np.int32))) if quantized else None,
        bias=_floats(padded),
        zero=3 if quantized else 0,
        activation=plan.GELU,
        residual=None if depthwise else _floats(4, channels),
        residual_stride=0 if depthwise else channels,
        output=_output(4, channels),
    )


def _slic() -> plan.Slic:
    return plan.Slic(
        name="slic",
        assignment=_arena(_SUPERPIXELS * _CELLS),
        map=_arena(4 * _CELLS),
        geometry=_GEOMETRY,
        iterations=2,
        coarse_iterations=1,
        compactness=15.0,
        relaxation=1.75,
        **_scratch((4 * (16 * _CELLS + 256 * _SUPERPIXELS + 4096) + 63) // 64 * 64),
    )


def _pool() -> plan.Pool:
    return plan.Pool(
        name="pool",
        src=_floats(_PATCHES, 8),
        src_stride=8,
        channels=8,
        assignment=_arena(_SUPERPIXELS * _CELLS),
        means=_arena(4 * _SUPERPIXELS * 8),
        occupied=_arena(4 * _SUPERPIXELS),
        centroids=_arena(8 * _SUPERPIXELS),
        geometry=_GEOMETRY,
        soft=0,
        **_scratch(4 * _SUPERPIXELS * _PATCHES),
    )


def _scratch(size: int) -> dict[str, Any]:
    return {"scratch": _arena(size), "scratch_bytes": size}


def _of_heads(kind: type[Op], columns: int, scratch_bytes: int, **own: Any) -> Op:
    """An operation that works head by head: two heads of four numbers, two rows, three tokens."""
    sizes = {"heads": 2, "rows": 2, "tokens": 3, "head_width": 4}
    made: Op = kind(
        name=kind.__name__.lower(),
        output=_output(2, columns),
        **sizes,
        **_scratch(scratch_bytes),
        **own,
    )
    return made


def _attentions() -> dict[str, Op]:
    """The whole, and the two halves between which scores are written down."""
    query_and_key = {
        "query": _floats(2, 8),
        "query_stride": 8,
        "key": _floats(3, 8),
        "key_stride": 8,
    }
    values = {"value": _floats(3, 8), "value_stride": 8}
    whole = 4 * (8 + 16) * 8
    return {
        "attention": _of_heads(
            plan.Attention, 8, whole, scale=0.5, mask=_floats(3), **query_and_key, **values
        ),
        "scores": _of_heads(plan.Scores, 6, whole, scale=0.5, **query_and_key),
        "weighted": _of_heads(
            plan.Weighted, 8, 4 * 16 * 8, scores=_floats(2, 6), scores_stride=6, **values
        ),
    }


def _operations() -> dict[str, Op]:
    rows = {"src": _floats(2, 8), "rows": 2, "src_stride": 8}
    table = Place(Constant(np.arange(768, dtype=np.uint32).astype(np.uint8).reshape(3, 256)))
    binary = {"b": _floats(8), "b_row_stride": 0, "b_column_stride": 1, "rows": 2, "columns": 8}
    return {
        "picture": plan.Picture(
            name="picture",
            dst=_arena(PICTURE_PX * PICTURE_PX * 4),
            is_float=0,
            channels=4,
            patch=4,
            table=table,
            fill=7,
        ),
        "conv-float": _convolution(plan.Conv, quantized=False),
        "conv-int8": _convolution(plan.Conv, quantized=True),
        "depthwise-float": _convolution(plan.Depthwise, quantized=False),
        "depthwise-int8": _convolution(plan.Depthwise, quantized=True),
        "slic": _slic(),
        "pool": _pool(),
        "layer_norm": plan.LayerNorm(
            name="norm",
            channels=8,
            gamma=_floats(8),
            beta=_floats(8),
            epsilon=1e-6,
            output=_output(2, 8),
            **rows,
        ),
        "binary": plan.Binary(
            name="binary",
            function=plan.DIVIDE,
            a=_floats(2, 8),
            a_row_stride=8,
            a_column_stride=1,
            output=_output(2, 8),
            **binary,
        ),
        "unary": plan.Unary(
            name="unary", function=plan.ERF, columns=8, output=_output(2, 8), **rows
        ),
        "mean": plan.Mean(name="mean", columns=8, output=_output(1, 8), **rows),
        **_attentions(),
        "transpose": plan.Transpose(
            name="transpose",
            src=_floats(2, 3, 4),
            batches=2,
            rows=3,
            columns=4,
            batch_stride=12,
            src_stride=4,
            output=_output(8, 3),
        ),
    }

"""What is written into a plan's file is what a reader of the specification finds there."""

from __future__ import annotations

import struct

import numpy as np

from edgevit_export.native import plan
from edgevit_export.native.plan import Buffer, Constant, Output, Place, Plan
from edgevit_export.native.plan_file import plan_bytes
from support.models.native_interpreter import CONSTANT, NONE, NativeModel


def floats(*values: float) -> Place:
    return Place(Constant(np.array(values, np.float32)))


def copy(name: str, source: Place, target: Place, columns: int = 3) -> plan.Unary:
    return plan.Unary(
        name=name,
        function=plan.COPY,
        src=source,
        rows=1,
        columns=columns,
        src_stride=columns,
        output=Output(f32=target, f32_stride=columns),
    )


def test_every_argument_is_where_it_belongs() -> None:
    target = Place(Buffer(12))
    norm = plan.LayerNorm(
        name="a.b/LayerNormalization",
        src=floats(1, 2, 3),
        rows=1,
        channels=3,
        src_stride=3,
        gamma=None,
        beta=floats(4, 5, 6),
        epsilon=1e-6,
        output=Output(f32=target, f32_stride=3, inverse_scale=0.5, zero=7),
    )
    model = NativeModel(plan_bytes(Plan((norm,), 8, 16, target, 3)))
    (found,) = model.operations
    assert (found.kind, found.name) == ("layer_norm", "a.b/LayerNormalization")
    assert (found.rows, found.channels, found.src_stride) == (1, 3, 3)
    assert found.gamma == NONE
    assert found.beta & CONSTANT
    assert found.epsilon == np.float32(1e-6)
    assert (found.u8, found.inverse_scale, found.zero) == (NONE, 0.5, 7)
    assert (model.height, model.width, model.classes) == (8, 16, 3)


def test_constants_are_aligned_and_equal_ones_are_stored_once() -> None:
    target = Place(Buffer(12))
    ops = (copy("one", floats(1, 2, 3), target), copy("two", floats(1, 2, 3), target))
    model = NativeModel(plan_bytes(Plan(ops, 1, 1, target, 3)))
    first, second = (operation.src ^ CONSTANT for operation in model.operations)
    assert first == second
    assert first % 64 == 0


def test_a_buffer_inside_another_follows_it() -> None:
    row = Buffer(24)
    parts = [Place(Buffer(0, Place(row, start))) for start in (0, 12)]
    ops = tuple(copy(f"{i}", floats(i, i, i), part) for i, part in enumerate(parts))
    model = NativeModel(plan_bytes(Plan(ops, 1, 1, Place(row), 6)))
    logits, _ = model.run(np.zeros((1, 1, 3), np.uint8))
    np.testing.assert_array_equal(logits, [0, 0, 0, 1, 1, 1])


def test_the_results_outlive_all_operations() -> None:
    """The answer comes first; what is computed after it must not take its memory."""
    answer, other = Place(Buffer(12)), Place(Buffer(12))
    ops = (copy("answer", floats(1, 2, 3), answer), copy("other", floats(9, 9, 9), other))
    logits, _ = NativeModel(plan_bytes(Plan(ops, 1, 1, answer, 3))).run(
        np.zeros((1, 1, 3), np.uint8)
    )
    np.testing.assert_array_equal(logits, [1, 2, 3])


def test_a_long_name_is_cut_between_letters() -> None:
    target = Place(Buffer(12))
    content = plan_bytes(Plan((copy("ä" * 200, floats(1, 2, 3), target),), 1, 1, target, 3))
    (start,) = struct.unpack_from("<I", content, 64 + 4)
    name = content[start : content.index(b"\0", start)]
    assert name.decode() == "ä" * 127

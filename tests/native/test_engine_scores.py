"""Scores, their softmax with values, and transpositions, one by one: as the interpreter says.

The same bits on every instruction set and with any number of threads, as floats and as bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from edgevit.common.errors import DamagedError
from edgevit_export.native import plan
from edgevit_export.native.plan import Buffer, Constant, Op, Output, Place, Plan
from edgevit_export.native.plan_file import plan_bytes
from edgevit_runtimes.backends.native.native_library import NativeModel, instruction_sets
from support.models.native_interpreter import NativeModel as Interpreter
from support.needs import need_tool

PX = 4  # of a picture that nothing reads
PICTURE = np.zeros((PX, PX, 3), np.uint8)
THREADS = (1, 2, 3, 16)
MOST_THREADS = 16


@pytest.fixture(autouse=True)
def engine() -> None:
    need_tool("native-engine")


class Sizes(NamedTuple):
    heads: int
    rows: int
    tokens: int
    width: int


# Below, at and beyond whole vectors of 8 and 16; blocks of 32 tokens; more threads than rows.
SIZES = (
    Sizes(1, 1, 1, 1),
    Sizes(2, 3, 5, 4),
    Sizes(3, 7, 8, 8),
    Sizes(5, 9, 33, 17),
    Sizes(2, 4, 71, 64),
)


def random_floats(seed: int, rows: int, columns: int, room: int = 0) -> Place:
    """Rows of a constant with ``room`` numbers between them."""
    values = np.random.default_rng(seed).normal(0, 1, (rows, columns + room))
    return Place(Constant(values.astype(np.float32)))


def result(rows: int, columns: int) -> Output:
    """Floats and bytes, with room between the rows of both."""
    stride = columns + 4
    floats, as_bytes = Place(Buffer(4 * rows * stride)), Place(Buffer(rows * stride))
    return Output(floats, stride, as_bytes, stride, 20.0, 117)


def scores(sizes: Sizes) -> Op:
    heads, rows, tokens, width = sizes
    room = 4 * (heads * width + MOST_THREADS) * (-(-tokens // 8) * 8)
    return plan.Scores(
        name="scores",
        query=random_floats(1, rows, heads * width, 3),
        query_stride=heads * width + 3,
        key=random_floats(2, tokens, heads * width),
        key_stride=heads * width,
        heads=heads,
        rows=rows,
        tokens=tokens,
        head_width=width,
        scale=width**-0.5,
        scratch=Place(Buffer(room)),
        scratch_bytes=room,
        output=result(rows, heads * tokens),
    )


def weighted(sizes: Sizes) -> Op:
    heads, rows, tokens, width = sizes
    room = 4 * MOST_THREADS * (-(-tokens // 8) * 8)
    return plan.Weighted(
        name="weighted",
        scores=random_floats(3, rows, heads * tokens, 2),
        scores_stride=heads * tokens + 2,
        value=random_floats(4, tokens, heads * width, 1),
        value_stride=heads * width + 1,
        heads=heads,
        rows=rows,
        tokens=tokens,
        head_width=width,
        scratch=Place(Buffer(room)),
        scratch_bytes=room,
        output=result(rows, heads * width),
    )


def transpose(sizes: Sizes) -> Op:
    batches, rows, columns, _ = sizes
    stride = columns + 2
    return plan.Transpose(
        name="transpose",
        src=random_floats(5, batches * rows, columns, 2),
        batches=batches,
        rows=rows,
        columns=columns,
        batch_stride=rows * stride,
        src_stride=stride,
        output=result(batches * columns, rows),
    )


OPERATIONS = {"scores": scores, "weighted": weighted, "transpose": transpose}


def file_of(op: Any, as_bytes: bool) -> bytes:
    """A file whose logits are all that an operation writes, padding between the rows and all."""
    place = op.output.u8 if as_bytes else op.output.f32
    return plan_bytes(Plan((op,), PX, PX, place, place.block.size // 4))


def answer(content: bytes, isa: str | None = None, threads: int = 1) -> np.ndarray:
    model = NativeModel(content, threads, isa)
    found = np.empty(model.info.classes, np.float32)
    model.run(PICTURE.ctypes.data, found.ctypes.data, 0)
    model.close()
    return found


def numbers(found: np.ndarray, op: Any, as_bytes: bool) -> np.ndarray:
    """What an operation gives of all that it writes: the columns of its rows."""
    flat = found.view(np.uint8).astype(np.int32) if as_bytes else found
    stride = op.output.u8_stride if as_bytes else op.output.f32_stride
    whole = flat[: flat.size // stride * stride].reshape(-1, stride)
    return whole[:, : stride - 4]


@pytest.mark.parametrize("as_bytes", [False, True], ids=["floats", "bytes"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_what_the_interpreter_says(
    name: str, sizes: Sizes, as_bytes: bool
) -> None:
    op = OPERATIONS[name](sizes)
    content = file_of(op, as_bytes)
    expected = numbers(Interpreter(content).run(PICTURE)[0], op, as_bytes)
    got = answer(content, "portable")
    # A sum in another order may be rounded the other way.
    tolerance = {"atol": 1} if as_bytes else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(numbers(got, op, as_bytes), expected, **tolerance)
    for isa in (name for name, here in instruction_sets().items() if here):
        for threads in THREADS:
            assert answer(content, isa, threads).tobytes() == got.tobytes(), (isa, threads)


def test_scores_and_their_softmax_are_an_attention() -> None:
    """Bit by bit: one operation, or two with the scores between them."""
    sizes = Sizes(3, 6, 21, 12)
    first: Any = scores(sizes)
    second: Any = weighted(sizes)
    together = plan.Attention(
        name="attention",
        query=first.query,
        query_stride=first.query_stride,
        key=first.key,
        key_stride=first.key_stride,
        value=second.value,
        value_stride=second.value_stride,
        heads=sizes.heads,
        rows=sizes.rows,
        tokens=sizes.tokens,
        head_width=sizes.width,
        scale=first.scale,
        mask=None,
        scratch=first.scratch,
        scratch_bytes=first.scratch_bytes,
        output=result(sizes.rows, sizes.heads * sizes.width),
    )
    place = second.output.f32
    fed = {"scores": first.output.f32, "scores_stride": first.output.f32_stride}
    apart = plan_bytes(Plan((first, _changed(second, fed)), PX, PX, place, place.block.size // 4))
    expected = numbers(answer(file_of(together, False)), together, False)
    np.testing.assert_array_equal(numbers(answer(apart), second, False), expected)


def _changed(op: Op, changes: dict[str, Any]) -> Op:
    return type(op)(**(vars(op) | changes))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("scores", {"rows": 1000}),
        ("scores", {"heads": 5000}),
        ("scores", {"key_stride": 1 << 20}),
        ("scores", {"scratch_bytes": 8}),
        ("scores", {"scale": float("nan")}),
        ("weighted", {"tokens": 1000}),
        ("weighted", {"scores_stride": 1 << 20}),
        ("weighted", {"scratch_bytes": 8}),
        ("transpose", {"batch_stride": 1 << 25}),
        ("transpose", {"src_stride": 1 << 20}),
        ("transpose", {"batches": 100}),
        ("transpose", {"columns": 0}),
    ],
    ids=str,
)
def test_what_would_read_or_write_elsewhere_is_refused(name: str, changes: dict[str, Any]) -> None:
    op = _changed(OPERATIONS[name](Sizes(2, 3, 5, 4)), changes)
    with pytest.raises(DamagedError, match="operation 0"):
        NativeModel(file_of(op, False))

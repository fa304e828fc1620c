"""Convolutions of many shapes, one a file: the interpreter's results, the same bits everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgevit_export.native import plan
from edgevit_export.native.plan import Buffer, Constant, Output, Place, Plan
from edgevit_export.native.plan_file import plan_bytes
from edgevit_runtimes.backends.native.native_library import NativeModel, instruction_sets
from support.models.native_interpreter import NativeModel as Interpreter
from support.needs import need_tool

RESULT_SCALE, RESULT_ZERO = 0.05, 100


@dataclass(frozen=True)
class Shape:
    """A convolution; ``outputs`` is None for a depthwise one."""

    height: int
    width: int
    channels: int
    outputs: int | None = None
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (1, 1)
    activation: int = plan.RELU
    has_residual: bool = False
    source_zero: int = 11
    scale: float = 1.0  # of the results

    @property
    def columns(self) -> int:
        return self.outputs or self.channels

    def out(self, axis: int) -> int:
        size = (self.height, self.width)[axis]
        return (size + 2 * self.padding[axis] - self.kernel[axis]) // self.stride[axis] + 1


point_by_point = partial(Shape, kernel=(1, 1), padding=(0, 0))
SHAPES = {
    "a stem": Shape(13, 22, 4, 16, stride=(2, 2)),
    "wider than a block": Shape(4, 61, 8, 24, kernel=(5, 5), padding=(2, 2)),
    "squares that do not overlap": Shape(6, 8, 4, 20, kernel=(2, 2), stride=(2, 2), padding=(0, 0)),
    "higher than wide": Shape(9, 4, 8, 32, kernel=(5, 1), padding=(2, 0), activation=plan.GELU),
    "a kernel larger than its map": Shape(2, 3, 4, 16, kernel=(7, 7), padding=(3, 3)),
    "places": point_by_point(7, 13, 12, 40),
    "places, added to": point_by_point(7, 13, 16, 33, has_residual=True, activation=plan.NONE),
    "every second place": point_by_point(8, 10, 8, 16, stride=(2, 2)),
    "a stem in tiles": Shape(17, 32, 4, 16, stride=(2, 2)),
    "a stem in two blocks": Shape(5, 224, 4, 16, stride=(2, 2)),
    "a stem in tiles, beyond the bytes": Shape(17, 32, 4, 16, stride=(2, 2), scale=-1e9),
    "pairs of panels": point_by_point(10, 10, 16, 64),
    "pairs of panels, one step": point_by_point(10, 10, 12, 32, activation=plan.NONE),
    "pairs of panels, beyond the bytes": point_by_point(10, 10, 16, 64, scale=1e9),
    "pairs of panels under windows": Shape(9, 20, 16, 80),
    "pairs of panels, fewer windows than tiles": Shape(5, 9, 16, 64, activation=plan.NONE),
    "more panels than constants": point_by_point(5, 6, 12, 576),
    "one place": point_by_point(1, 1, 64, 200, activation=plan.NONE),
    "depthwise": Shape(6, 9, 64),
    "depthwise, half a panel": Shape(6, 9, 24, activation=plan.HARD_SWISH),
    "depthwise, every second": Shape(9, 10, 16, stride=(2, 2), activation=plan.NONE),
    "depthwise, five rows": Shape(12, 7, 8, kernel=(5, 5), padding=(2, 2)),
    "depthwise, beyond the bytes": Shape(6, 9, 64, scale=1e9),
    "depthwise, many columns": Shape(3, 101, 16, kernel=(3, 5), padding=(1, 2)),
    "depthwise, no padding": Shape(8, 8, 16, kernel=(2, 2), stride=(2, 2), padding=(0, 0)),
    "depthwise, a kernel larger than its map": Shape(2, 2, 8, kernel=(7, 7), padding=(3, 3)),
}


@pytest.fixture(autouse=True)
def engine() -> None:
    need_tool("native-engine")


def made(
    shape: Shape, quantized: bool, is_read_back: bool = False
) -> tuple[bytes, NDArray[np.uint8]]:
    """(a file of one convolution over the pixels' bytes or floats, a picture for it).

    ``is_read_back``: it gives nothing but bytes, and another operation makes floats of them.
    """
    rng = np.random.default_rng(0)
    width = shape.width * shape.channels // 4  # four numbers a pixel, read as `channels` a place
    pixels = whole_pixels(shape.height, width, quantized, rng)
    places = shape.out(0) * shape.out(1)
    size = places * shape.columns + 64
    floats, whole = Place(Buffer(4 * size)), Place(Buffer(size))
    stride = shape.columns
    output = Output(
        f32=None if is_read_back else floats,
        f32_stride=stride,
        u8=whole if quantized else None,
        u8_stride=stride,
        inverse_scale=1 / RESULT_SCALE,
        zero=RESULT_ZERO,
    )
    operations: tuple[plan.Op, ...] = (pixels, convolution(shape, pixels.dst, output, rng))
    if is_read_back:
        operations += (reading_back(whole, places, shape.columns, Output(floats, stride)),)
    picture = rng.integers(0, 256, (shape.height, width, 3), dtype=np.uint8)
    made = Plan(operations, shape.height, width, floats, places * shape.columns)
    return plan_bytes(made), picture


def whole_pixels(
    height: int, width: int, quantized: bool, rng: np.random.Generator
) -> plan.Picture:
    """Four numbers a pixel: bytes, or floats from -1 to 1."""
    table = rng.permutation(256).astype(np.uint8)[None].repeat(3, 0)
    return plan.Picture(
        name="pixels",
        dst=Place(Buffer(height * width * 4 * (1 if quantized else 4) + 64)),
        is_float=int(not quantized),
        channels=4,
        patch=width,
        table=constant(table if quantized else table.astype(np.float32) / 128 - 1),
        fill=9 if quantized else 0,
    )


def reading_back(source: Place, places: int, columns: int, output: Output) -> plan.Conv:
    """Every byte as the float that it stands for: a product with the identity."""
    shape = point_by_point(1, places, columns, columns, activation=plan.NONE)
    identity = np.zeros((columns, -(-columns // 16) * 16), np.int8)
    np.fill_diagonal(identity, 1)
    room = identity.shape[1]
    return product(
        shape,
        source,
        output,
        weights=constant(packed(identity, is_depthwise=False)),
        scales=constant(np.full(room, RESULT_SCALE, np.float32)),
        sums=constant(identity.sum(0, dtype=np.int32)),
        bias=constant(np.zeros(room, np.float32)),
        zero=RESULT_ZERO,
    )


def constant(values: NDArray[Any]) -> Place:
    return Place(Constant(np.ascontiguousarray(values)))


def convolution(
    shape: Shape, source: Place | None, output: Output, rng: np.random.Generator
) -> plan.Conv:
    """With weights at random: in bytes if its result is, else in floats."""
    assert source is not None
    is_depthwise, quantized = shape.outputs is None, output.u8 is not None
    taps = shape.kernel[0] * shape.kernel[1]
    inputs = taps if is_depthwise else taps * shape.channels
    room = shape.columns if is_depthwise else -(-shape.columns // 16) * 16
    whole = rng.integers(-127, 128, (inputs, room)).astype(np.int8)
    whole[:, shape.columns :] = 0
    weights = packed(whole, is_depthwise) if quantized else packed_floats(whole / 64, is_depthwise)
    scales = constant((rng.uniform(1e-4, 4e-4, room) * shape.scale).astype(np.float32))
    residual = rng.normal(size=(shape.out(0) * shape.out(1), shape.columns)).astype(np.float32)
    return product(
        shape,
        source,
        output,
        weights=constant(weights),
        scales=scales if quantized else None,
        sums=constant(whole.sum(0, dtype=np.int32)) if quantized else None,
        bias=constant(rng.normal(size=room).astype(np.float32)),
        zero=shape.source_zero if quantized else 0,
        residual=constant(residual) if shape.has_residual else None,
        residual_stride=shape.columns if shape.has_residual else 0,
    )


def product(shape: Shape, source: Place, output: Output, **constants: Any) -> plan.Conv:
    return (plan.Depthwise if shape.outputs is None else plan.Conv)(
        name="convolution",
        src=source,
        is_float=int(constants["scales"] is None),
        height=shape.height,
        width=shape.width,
        channels=shape.channels,
        src_stride=shape.channels,
        out_height=shape.out(0),
        out_width=shape.out(1),
        outputs=shape.columns,
        kernel_h=shape.kernel[0],
        kernel_w=shape.kernel[1],
        stride_h=shape.stride[0],
        stride_w=shape.stride[1],
        pad_h=shape.padding[0],
        pad_w=shape.padding[1],
        activation=shape.activation,
        output=output,
        **constants,
    )


def packed(whole: NDArray[Any], is_depthwise: bool) -> NDArray[Any]:
    """Weights [inputs, room] as docs/native.md lays them out."""
    inputs, room = whole.shape
    if not is_depthwise:
        by_four = whole.reshape(inputs // 4, 4, room // 16, 16)
        return by_four.transpose(2, 0, 3, 1)
    even = np.concatenate([whole, np.zeros((inputs % 2, room), np.int8)])
    return even.reshape(-1, 2, room).transpose(0, 2, 1)


def packed_floats(weights: NDArray[Any], is_depthwise: bool) -> NDArray[Any]:
    inputs, room = weights.shape
    floats = weights.astype(np.float32)
    return floats if is_depthwise else floats.reshape(inputs, room // 16, 16).transpose(1, 0, 2)


def answer(
    file: bytes, picture: NDArray[Any], isa: str | None = None, threads: int = 1
) -> NDArray[Any]:
    model = NativeModel(file, threads, isa)
    logits = np.empty(model.info.classes, np.float32)
    model.run(picture.ctypes.data, logits.ctypes.data)
    model.close()
    return logits


@pytest.mark.parametrize("quantized", [False, True], ids=["float", "int8"])
@pytest.mark.parametrize("name", SHAPES)
def test_it_is_the_interpreters_result_with_the_same_bits_everywhere(
    name: str, quantized: bool
) -> None:
    file, picture = made(SHAPES[name], quantized)
    expected, _ = Interpreter(file).run(picture)
    first = answer(file, picture, "portable")
    np.testing.assert_allclose(first, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    for isa, is_usable in instruction_sets().items():
        for threads in (1, 2, 3) if is_usable else ():
            other = answer(file, picture, isa, threads)
            assert other.tobytes() == first.tobytes(), (isa, threads)


@pytest.mark.parametrize("name", [name for name in SHAPES if SHAPES[name].columns % 4 == 0])
def test_bytes_alone_are_the_floats_rounded(name: str) -> None:
    """What gives nothing but bytes takes a shorter way, to the same bytes everywhere."""
    floats = answer(*made(SHAPES[name], quantized=True))
    read_back = answer(*made(SHAPES[name], quantized=True, is_read_back=True))
    rounded = np.rint(floats * np.float32(1 / RESULT_SCALE))
    expected = np.clip(rounded, -RESULT_ZERO, 255 - RESULT_ZERO) * np.float32(RESULT_SCALE)
    assert len(np.unique(expected)) > (1 if SHAPES[name].scale != 1.0 else 5)
    np.testing.assert_allclose(read_back, expected, atol=1e-5)
    for isa, is_usable in instruction_sets().items():
        for threads in (1, 2, 3) if is_usable else ():
            file, picture = made(SHAPES[name], quantized=True, is_read_back=True)
            assert answer(file, picture, isa, threads).tobytes() == read_back.tobytes(), isa

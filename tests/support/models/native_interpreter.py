"""What a native model file says, computed in numpy: the meaning that the engine is tested against.

Written from docs/native.md alone: it shares nothing with the compiler that writes the files
nor with the engine that runs them. Memory is one block of bytes, as for the engine, so that buffers
that overlap while both are in use show as wrong answers.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from math import erf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.zoo.slic import (
    HALF,
    LAB_FROM_F,
    OFF_WHOLE,
    WHITE_XYZ_FROM_RGB,
    SlicGeometry,
    f_coefficients,
    light_coefficients,
)

Floats = NDArray[np.float32]

NONE = 0xFFFFFFFF
CONSTANT = 0x80000000
OUTPUT = ("f32", "f32_stride", "u8", "u8_stride", "inverse_scale:f", "zero")
CONV = (
    *("src", "is_float", "height", "width", "channels", "src_stride", "out_height", "out_width"),
    *("outputs", "kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w", "weights"),
    *("scales", "sums", "bias", "src_zero", "activation", "residual", "residual_stride"),
    *OUTPUT,
)
GEOMETRY = ("image_px", "patch_px", "cell_px", "grid_rows", "grid_columns")
# The name of every operation, and its arguments; floats are marked.
OPERATIONS: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("picture", ("dst", "is_float", "channels", "patch", "table", "fill")),
    2: ("conv", CONV),
    3: ("depthwise", CONV),
    4: (
        "slic",
        (
            *("assignment", "map", "scratch", "scratch_bytes", *GEOMETRY, "iterations"),
            *("coarse_iterations", "compactness:f", "relaxation:f"),
        ),
    ),
    5: (
        "pool",
        (
            *("src", "src_stride", "channels", "assignment", "means", "occupied", "centroids"),
            *("scratch", "scratch_bytes", *GEOMETRY, "soft"),
        ),
    ),
    6: (
        "layer_norm",
        ("src", "rows", "channels", "src_stride", "gamma", "beta", "epsilon:f", *OUTPUT),
    ),
    7: (
        "attention",
        (
            *("query", "query_stride", "key", "key_stride", "value", "value_stride", "heads"),
            *("rows", "tokens", "head_width", "scale:f", "mask", "scratch", "scratch_bytes"),
            *OUTPUT,
        ),
    ),
    8: (
        "binary",
        (
            *("function", "a", "a_row_stride", "a_column_stride", "b", "b_row_stride"),
            *("b_column_stride", "rows", "columns", *OUTPUT),
        ),
    ),
    9: ("unary", ("function", "src", "rows", "columns", "src_stride", *OUTPUT)),
    10: ("mean", ("src", "rows", "columns", "src_stride", *OUTPUT)),
    11: (
        "scores",
        (
            *("query", "query_stride", "key", "key_stride", "heads", "rows", "tokens"),
            *("head_width", "scale:f", "scratch", "scratch_bytes", *OUTPUT),
        ),
    ),
    12: (
        "weighted",
        (
            *("scores", "scores_stride", "value", "value_stride", "heads", "rows", "tokens"),
            *("head_width", "scratch", "scratch_bytes", *OUTPUT),
        ),
    ),
    13: (
        "transpose",
        ("src", "batches", "rows", "columns", "batch_stride", "src_stride", *OUTPUT),
    ),
}


@dataclass(frozen=True)
class Operation:
    """One of a file: its kind and name, and the arguments by name."""

    kind: str
    name: str
    arguments: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.arguments[name]


class NativeModel:
    """A file, read and run one picture at a time."""

    def __init__(self, content: bytes) -> None:
        fields = struct.unpack_from("<8sIIQIIIIIIIIII", content)
        magic, version, order, length, checksum, count, arena_bytes = fields[:7]
        self.height, self.width, self._logits, self.classes = fields[7:11]
        self._map, self.map_rows, self.map_columns = fields[11:14]
        assert magic == b"EDGEVIT\0"
        assert (version, order, length) == (1, 0x01020304, len(content))
        assert checksum == zlib.crc32(content[64:])
        assert arena_bytes % 64 == 0
        self.arena_bytes = arena_bytes
        self._content = np.frombuffer(content, np.uint8)
        self.operations = [self._operation(content, 64 + 128 * i) for i in range(count)]
        self._arena = np.zeros(0, np.uint8)

    def _operation(self, content: bytes, start: int) -> Operation:
        kind, name, *words = struct.unpack_from("<32I", content, start)
        called, names = OPERATIONS[kind]
        assert not any(words[len(names) :]), "unused arguments are 0"
        arguments = {}
        for key, word in zip(names, words, strict=False):
            is_float = key.endswith(":f")
            value = struct.unpack("<f", struct.pack("<I", word))[0] if is_float else word
            arguments[key.removesuffix(":f")] = value
        text = content[name : content.index(b"\0", name)].decode()
        return Operation(called, text, arguments)

    def run(self, picture: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.int32] | None]:
        """(logits [classes], the superpixel map or None) of uint8 [H, W, 3]."""
        assert picture.shape == (self.height, self.width, 3)
        self._arena = np.full(self.arena_bytes, 0xFF, np.uint8)  # as floats: NaN
        for operation in self.operations:
            getattr(self, f"_{operation.kind}")(operation, picture)
        labels = None
        if self._map != NONE:
            labels = self.numbers(self._map, np.int32, self.map_rows * self.map_columns)
            labels = labels.reshape(self.map_rows, self.map_columns).copy()
        return self.numbers(self._logits, np.float32, self.classes).copy(), labels

    # Memory --------------------------------------------------------------------------------------

    def numbers(self, address: int, kind: type, count: int) -> NDArray[Any]:
        """Neighbouring numbers at an address."""
        assert address != NONE
        memory, start = self._arena, address
        if address & CONSTANT:
            memory, start = self._content, address ^ CONSTANT
        end = start + count * np.dtype(kind).itemsize
        assert 0 <= start <= end <= len(memory), (start, end, len(memory))
        return memory[start:end].view(kind)

    def rows(
        self, address: int, kind: type, rows: int, columns: int, stride: int, step: int = 1
    ) -> NDArray[Any]:
        """A matrix in memory, with any stride between rows and between columns."""
        flat = self.numbers(address, kind, (rows - 1) * stride + (columns - 1) * step + 1)
        strides = (stride * flat.itemsize, step * flat.itemsize)
        return np.lib.stride_tricks.as_strided(flat, (rows, columns), strides)

    def _give(self, op: Operation, result: NDArray[Any]) -> None:
        rows, columns = result.shape
        assert (op.f32, op.u8) != (NONE, NONE)
        result = result.astype(np.float32)
        assert np.isfinite(result).all(), op.name
        if op.f32 != NONE:
            self.rows(op.f32, np.float32, rows, columns, op.f32_stride)[:] = result
        if op.u8 != NONE:
            scaled = np.rint(result * np.float32(op.inverse_scale)) + op.zero
            target = self.rows(op.u8, np.uint8, rows, columns, op.u8_stride)
            target[:] = np.clip(scaled, 0, 255).astype(np.uint8)

    # Operations ----------------------------------------------------------------------------------

    def _picture(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        kind = np.float32 if op.is_float else np.uint8
        table = self.numbers(op.table, kind, 3 * 256).reshape(3, 256)
        looked_up = np.stack([table[c][picture[..., c]] for c in range(3)], -1)
        if op.channels == 4:
            fill = np.array([op.fill], np.uint32).view(np.float32)[0] if op.is_float else op.fill
            fourth = np.full((self.height, self.width, 1), fill, kind)
            looked_up = np.concatenate([looked_up, fourth], -1)
        side = op.patch
        if side != self.width:
            shape = (self.height // side, side, self.width // side, side, op.channels)
            looked_up = looked_up.reshape(shape).transpose(0, 2, 1, 3, 4)
        self.numbers(op.dst, kind, looked_up.size)[:] = looked_up.ravel()

    def _squares(self, op: Operation) -> NDArray[Any]:
        """[places of the result, taps, channels]."""
        kind = np.float32 if op.is_float else np.uint8
        zero = 0 if op.is_float else op.src_zero
        places = op.height * op.width
        source = self.rows(op.src, kind, places, op.channels, op.src_stride)
        bottom = (op.out_height - 1) * op.stride_h + op.kernel_h - op.height - op.pad_h
        right = (op.out_width - 1) * op.stride_w + op.kernel_w - op.width - op.pad_w
        pads = ((op.pad_h, max(bottom, 0)), (op.pad_w, max(right, 0)), (0, 0))
        maps = source.reshape(op.height, op.width, op.channels)
        padded = np.pad(maps, pads, constant_values=zero)
        taps = [
            padded[
                y : y + (op.out_height - 1) * op.stride_h + 1 : op.stride_h,
                x : x + (op.out_width - 1) * op.stride_w + 1 : op.stride_w,
            ].reshape(-1, op.channels)
            for y in range(op.kernel_h)
            for x in range(op.kernel_w)
        ]
        return np.stack(taps, 1)

    def _conv(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        squares = self._squares(op)
        rows = squares.reshape(len(squares), -1)
        inputs, panels = rows.shape[1], -(-op.outputs // 16)
        bias = self.numbers(op.bias, np.float32, panels * 16)[: op.outputs]
        if op.is_float:
            stored = self.numbers(op.weights, np.float32, panels * inputs * 16)
            matrix = stored.reshape(panels, inputs, 16).transpose(1, 0, 2).reshape(inputs, -1)
            result = rows @ matrix[:, : op.outputs] + bias
        else:
            assert op.channels % 4 == 0
            stored = self.numbers(op.weights, np.int8, panels * inputs * 16)
            by_panel = stored.reshape(panels, inputs // 4, 16, 4).transpose(1, 3, 0, 2)
            matrix = by_panel.reshape(inputs, -1)[:, : op.outputs]
            result = self._dequantized(op, _exact(rows, matrix), matrix, panels * 16, bias)
        self._give_product(op, result)

    def _depthwise(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        squares = self._squares(op)
        taps = op.kernel_h * op.kernel_w
        bias = self.numbers(op.bias, np.float32, op.channels)
        if op.is_float:
            weights = self.numbers(op.weights, np.float32, taps * op.channels)
            result = (squares * weights.reshape(taps, -1)).sum(1) + bias
        else:
            assert op.channels % 8 == 0
            pairs = -(-taps // 2)
            stored = self.numbers(op.weights, np.int8, pairs * op.channels * 2)
            by_tap = stored.reshape(pairs, op.channels, 2).transpose(0, 2, 1)
            weights = by_tap.reshape(-1, op.channels)[:taps]
            sums = (squares.astype(np.int64) * weights).sum(1)
            result = self._dequantized(op, sums, weights, op.channels, bias)
        assert op.residual == NONE
        self._give_product(op, result)

    def _dequantized(
        self, op: Operation, sums: NDArray[Any], weights: NDArray[np.int8], room: int, bias: Floats
    ) -> Floats:
        scales = self.numbers(op.scales, np.float32, room)[: op.outputs]
        weight_sums = self.numbers(op.sums, np.int32, room)[: op.outputs]
        assert (weight_sums == weights.astype(np.int32).sum(0)).all()
        about_zero = sums - op.src_zero * weight_sums.astype(np.int64)
        return scales * about_zero.astype(np.float32) + bias

    def _give_product(self, op: Operation, result: Floats) -> None:
        result = (_same, _relu, _gelu, _hard_swish)[op.activation](result)
        if op.residual != NONE:
            rows, columns = result.shape
            result += self.rows(op.residual, np.float32, rows, columns, op.residual_stride)
        self._give(op, result)

    def _slic(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        geometry = _geometry(op, op.compactness)
        assignment = _superpixels(picture, geometry, op)
        self.numbers(op.assignment, np.uint8, assignment.size)[:] = assignment.ravel()
        if op.map != NONE:
            side = geometry.cells_per_side
            labels = np.empty((side, side), np.int32)
            labels[tuple(geometry.cell_yx.T)] = assignment.argmax(0)
            self.numbers(op.map, np.int32, side * side)[:] = labels.ravel()

    def _pool(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        geometry = _geometry(op, 1.0)
        count, patches = geometry.superpixels, geometry.patches
        values = self.rows(op.src, np.float32, patches, op.channels, op.src_stride)
        cells = self.numbers(op.assignment, np.uint8, count * geometry.cells)
        assignment = cells.reshape(count, -1).astype(np.float32)
        overlap = assignment.reshape(count, patches, -1).sum(-1)
        membership = overlap / geometry.cells_per_patch
        if not op.soft:
            rank = overlap - (np.arange(count) / count)[:, None].astype(np.float32)
            membership = (rank == rank.max(0)).astype(np.float32)
        members = membership.sum(-1, keepdims=True)
        means = membership @ values / np.where(members > 0, members, 1)
        self.numbers(op.means, np.float32, means.size)[:] = means.ravel()
        if op.occupied != NONE:
            self.numbers(op.occupied, np.float32, count)[:] = members[:, 0] > 0
        if op.centroids != NONE:
            places = assignment @ geometry.centroid_features
            centroids = places[:, :2] / np.maximum(places[:, 2:], 1)
            self.numbers(op.centroids, np.float32, 2 * count)[:] = centroids.ravel()

    def _layer_norm(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        x = self.rows(op.src, np.float32, op.rows, op.channels, op.src_stride).astype(np.float64)
        centred = x - x.mean(1, keepdims=True)
        result = centred / np.sqrt((centred**2).mean(1, keepdims=True) + op.epsilon)
        if op.gamma != NONE:
            result = result * self.numbers(op.gamma, np.float32, op.channels)
        if op.beta != NONE:
            result = result + self.numbers(op.beta, np.float32, op.channels)
        self._give(op, result)

    def _heads(self, address: int, op: Operation, rows: int, width: int, stride: int) -> Floats:
        """[heads, rows, width] of rows that have all heads side by side."""
        found = self.rows(address, np.float32, rows, op.heads * width, stride)
        return found.reshape(rows, op.heads, width).swapaxes(0, 1)

    def _raw_scores(self, op: Operation) -> Floats:
        query = self._heads(op.query, op, op.rows, op.head_width, op.query_stride)
        key = self._heads(op.key, op, op.tokens, op.head_width, op.key_stride)
        return query @ key.swapaxes(1, 2) * np.float32(op.scale)

    def _give_heads(self, op: Operation, result: Floats) -> None:
        self._give(op, result.swapaxes(0, 1).reshape(op.rows, -1))

    def _attention(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        value = self._heads(op.value, op, op.tokens, op.head_width, op.value_stride)
        scores = self._raw_scores(op)
        if op.mask != NONE:
            scores = scores + self.numbers(op.mask, np.float32, op.tokens)
        self._give_heads(op, _softmax(scores) @ value)

    def _scores(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        self._give_heads(op, self._raw_scores(op))

    def _weighted(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        value = self._heads(op.value, op, op.tokens, op.head_width, op.value_stride)
        scores = self._heads(op.scores, op, op.rows, op.tokens, op.scores_stride)
        self._give_heads(op, _softmax(scores) @ value)

    def _transpose(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        places = [
            self.rows(
                op.src + 4 * b * op.batch_stride, np.float32, op.rows, op.columns, op.src_stride
            )
            for b in range(op.batches)
        ]
        self._give(op, np.concatenate([batch.T for batch in places]))

    def _binary(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        size = (op.rows, op.columns)
        a = self.rows(op.a, np.float32, *size, op.a_row_stride, op.a_column_stride)
        b = self.rows(op.b, np.float32, *size, op.b_row_stride, op.b_column_stride)
        self._give(op, (np.add, np.subtract, np.multiply, np.divide)[op.function](a, b))

    def _unary(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        functions = (
            *(_same, _relu, _gelu, _hard_swish, np.sin, _hard_sigmoid, np.sqrt, np.exp, _erf),
        )
        x = self.rows(op.src, np.float32, op.rows, op.columns, op.src_stride)
        self._give(op, functions[op.function](x))

    def _mean(self, op: Operation, picture: NDArray[np.uint8]) -> None:
        x = self.rows(op.src, np.float32, op.rows, op.columns, op.src_stride)
        self._give(op, x.mean(0, dtype=np.float64)[None])


def _exact(rows: NDArray[np.uint8], matrix: NDArray[np.int8]) -> NDArray[np.int64]:
    """The product in whole numbers; float64 holds all of them."""
    return (rows.astype(np.float64) @ matrix.astype(np.float64)).astype(np.int64)


def _softmax(scores: Floats) -> Floats:
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def _same(x: Floats) -> Floats:
    return x


def _relu(x: Floats) -> Floats:
    return np.maximum(x, np.float32(0))


def _erf(x: Floats) -> Floats:
    return np.vectorize(erf, otypes=[np.float32])(x)


def _gelu(x: Floats) -> Floats:
    return x * np.float32(0.5) * (1 + _erf(x / np.float32(np.sqrt(2))))


def _hard_sigmoid(x: Floats) -> Floats:
    return np.clip(x / np.float32(6) + np.float32(0.5), 0, 1)


def _hard_swish(x: Floats) -> Floats:
    return x * _hard_sigmoid(x)


# Superpixels, by the constants of edgevit/zoo/slic.py --------------------------------------------


def _geometry(op: Operation, compactness: float) -> SlicGeometry:
    grid = (op.grid_rows, op.grid_columns)
    return SlicGeometry(op.image_px, op.patch_px, op.cell_px, grid, compactness)


def _superpixels(picture: NDArray[np.uint8], geometry: SlicGeometry, op: Operation) -> Floats:
    """float32 [K, cells]: 1 where a cell belongs to a superpixel."""
    features = _cell_features(picture, geometry)
    coarse = features
    if op.coarse_iterations:
        by_patch = features.reshape(-1, geometry.cells_per_patch)
        coarse = (by_patch @ geometry.cells_to_coarse).reshape(len(features), -1)
    assignment = geometry.seed_assignment(op.coarse_iterations > 0)
    current, centres = coarse, None
    for i in range(op.iterations):
        sums = assignment @ current.T
        means = np.floor((sums[:, :5] + np.float32(OFF_WHOLE)) / np.maximum(sums[:, 5:], HALF))
        if centres is not None:
            ahead = np.float32(op.relaxation)
            means = np.floor(means * ahead - centres * (ahead - 1))
        centres = means
        current = coarse if i < op.coarse_iterations else features
        planes = np.concatenate([-2 * centres, (centres**2).sum(1, keepdims=True)], 1)
        distances = planes @ current
        assignment = (distances == distances.min(0)).astype(np.float32)
    return assignment


def _cell_features(picture: NDArray[np.uint8], geometry: SlicGeometry) -> Floats:
    patch, count = geometry.patch_px, geometry.patches_per_side
    patches = picture.reshape(count, patch, count, patch * 3).swapaxes(1, 2)
    strips = patches.reshape(-1, geometry.strip_to_cells.shape[0]).astype(np.float32)
    rgb = (strips @ geometry.strip_to_cells).reshape(geometry.cells, 3).T
    light = np.floor(_horner(rgb, light_coefficients(geometry.cell_px)))
    root = np.sqrt(np.sqrt(WHITE_XYZ_FROM_RGB @ light))
    lab = np.floor(LAB_FROM_F @ np.floor(_horner(root, f_coefficients())))
    return np.concatenate([lab, geometry.position_features]).astype(np.float32)


def _horner(x: Floats, coefficients: tuple[float, ...]) -> Floats:
    result = x * np.float32(coefficients[-1]) + np.float32(coefficients[-2])
    for coefficient in reversed(coefficients[:-2]):
        result = result * x + np.float32(coefficient)
    return result

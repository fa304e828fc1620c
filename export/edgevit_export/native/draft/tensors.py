"""What an ONNX tensor is while a graph is lowered: a view of something that lies in rows.

A view has, for every element of the ONNX tensor, the place of that element among the numbers that
it looks at. Reshape, Transpose, Split and their like only rearrange these places.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgevit_export.native.plan import Buffer, Op

Places = NDArray[np.int64]
Floats = NDArray[np.float32]

RESULT = "output"  # the slot of an operation that gives its result as float32, uint8 or both
PARTS = "parts"  # of what several operations write
ASSIGNMENT = "assignment"  # the slot of the superpixels' cells, which are bytes


class UnsupportedError(Exception):
    """The native runtime has no operation for this; the message says why."""


@dataclass(frozen=True)
class Scaling:
    """A uint8 value q stands for ``(q - zero) * scale``."""

    scale: float
    zero: int


@dataclass(frozen=True, eq=False)
class Int8Weight:
    """values: int8, in the shape of the tensor. scales: of the slices along ``axis``."""

    values: NDArray[np.int8]
    scales: Floats
    axis: int


@dataclass(frozen=True, eq=False)
class Numbers:
    """Constants. ``int8``: as which a weight is stored, if it was dequantized."""

    values: NDArray[Any]
    int8: Int8Weight | None = None


@dataclass(frozen=True, eq=False)
class Pixels:
    """The picture's pixels, each through a function of its channel: float32 [3, 256]."""

    height: int
    width: int
    table: Floats

    def in_patches(self, side: int) -> Places:
        """The places of all values, patch by patch."""
        shape = (self.height // side, side, self.width // side, side, 3)
        whole = np.arange(prod(shape)).reshape(shape)
        return whole.transpose(0, 2, 1, 3, 4).ravel()


_AnyOp = TypeVar("_AnyOp", bound=Op)


@dataclass(eq=False)
class Step(Generic[_AnyOp]):
    """An operation that is being put together, and where it stands."""

    op: _AnyOp
    number: int
    results: list[Result] = field(default_factory=list)


@dataclass(eq=False)
class Result:
    """Rows and columns of numbers that a step gives.

    slot: the argument of the operation that says where they go. step: None if several write it.
    f32, u8: the buffers, once someone reads them. ready: the number of the last step that writes.
    """

    rows: int
    columns: int
    slot: str
    step: Step[Any] | None
    ready: int
    f32: Buffer | None = None
    f32_stride: int = 0
    u8: Buffer | None = None
    scaling: Scaling | None = None

    @property
    def size(self) -> int:
        return self.rows * self.columns

    @property
    def is_unread(self) -> bool:
        return self.f32 is None and self.u8 is None


Tensor = Numbers | Pixels | Result


@dataclass(frozen=True, eq=False)
class View:
    """An ONNX tensor. ``places`` has its shape.

    scaling: it went through eight bits. shared: a tensor that it was made of has other readers.
    """

    tensor: Tensor
    places: Places
    scaling: Scaling | None = None
    shared: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.places.shape

    @property
    def constant(self) -> NDArray[Any] | None:
        """Its numbers, where they are known."""
        if not isinstance(self.tensor, Numbers):
            return None
        return np.asarray(self.tensor.values[self.places])

    @property
    def is_everything(self) -> bool:
        """Whether it shows every number of a result, and each once."""
        if not isinstance(self.tensor, Result) or self.places.size != self.tensor.size:
            return False
        return np.unique(self.places).size == self.tensor.size

    def at(self, places: Places) -> View:
        """Another view of the same."""
        return replace(self, places=np.asarray(places))


def numbers(values: NDArray[Any], int8: Int8Weight | None = None) -> View:
    """A view of constants."""
    return View(Numbers(values.ravel(), int8), np.arange(values.size).reshape(values.shape))


def whole(result: Result, shape: tuple[int, ...] | None = None) -> View:
    """A view of all of a result, in its order."""
    return View(result, np.arange(result.size).reshape(shape or (result.rows, result.columns)))


def strides_of(places: Places) -> tuple[int, tuple[int | None, ...]] | None:
    """(the first place, the step along every axis), or None where the steps differ.

    An axis of length one has no step: None.
    """
    first = int(places.flat[0])
    expected = np.full((1,) * places.ndim, first)
    strides: list[int | None] = []
    for axis, length in enumerate(places.shape):
        if length == 1:
            strides.append(None)
            continue
        second = tuple(int(i == axis) for i in range(places.ndim))
        stride = int(places[second]) - first
        strides.append(stride)
        along = [1] * places.ndim
        along[axis] = length
        expected = expected + (np.arange(length) * stride).reshape(along)
    return (first, tuple(strides)) if np.array_equal(expected, places) else None


def first_and_stride(places: Places) -> tuple[int, int] | None:
    """(the first place, from row to row) of rows of neighbours."""
    found = strides_of(places)
    if found is None or found[1][1] not in (1, None):
        return None
    first, (stride, _) = found
    return first, places.shape[1] if stride is None else stride


def evenly_spaced(places: Places) -> int:
    """How many of the first places are equally far apart."""
    breaks = np.flatnonzero(np.diff(places, 2))
    return int(breaks[0]) + 2 if breaks.size else places.size


def order_of(places: Places) -> Places:
    """In which order the elements of a tensor lie in memory."""
    return np.argsort(places, axis=None, kind="stable")

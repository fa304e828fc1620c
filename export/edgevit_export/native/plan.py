"""A native plan: the operations in order, with named arguments in the order of the file.

The format is specified in ``docs/native.md``. An argument that is an address is a *place*:
bytes from the start of a block, which is a part of the arena or a constant. Where the blocks lie is
decided when the plan is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from numpy.typing import NDArray

NONE, RELU, GELU, HARD_SWISH = range(4)  # activations
COPY, UNARY_RELU, UNARY_GELU, UNARY_HARD_SWISH, SINE, HARD_SIGMOID, ROOT, EXPONENTIAL, ERF = range(
    9
)
ADD, SUBTRACT, MULTIPLY, DIVIDE = range(4)  # functions of two


@dataclass(eq=False)
class Buffer:
    """Bytes of the arena. ``home``: where it lies inside another buffer, if it does."""

    size: int
    home: Place | None = None


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers that the file holds."""

    values: NDArray[Any]


@dataclass(frozen=True)
class Place:
    """``offset``: bytes from the start of a block."""

    block: Buffer | Constant
    offset: int = 0

    @property
    def root(self) -> Place:
        """The same place, in a block that lies in no other."""
        place = self
        while isinstance(place.block, Buffer) and place.block.home is not None:
            home = place.block.home
            place = Place(home.block, home.offset + place.offset)
        return place


@dataclass(frozen=True)
class Output:
    """Where a result goes: as float32, as uint8, or both. Strides are in elements."""

    f32: Place | None = None
    f32_stride: int = 0
    u8: Place | None = None
    u8_stride: int = 0
    inverse_scale: float = 0.0
    zero: int = 0


@dataclass(frozen=True)
class Geometry:
    """Of superpixels: sides in pixels, and the grid of their seeds."""

    image_px: int
    patch_px: int
    cell_px: int
    grid_rows: int
    grid_columns: int


@dataclass(frozen=True, kw_only=True)
class Op:
    """An operation. ``name``: of the ONNX node that it stands for."""

    kind: ClassVar[int]
    name: str


@dataclass(frozen=True, kw_only=True)
class Picture(Op):
    """The picture's pixels, each through the table of its channel."""

    kind: ClassVar[int] = 1
    dst: Place | None = None
    is_float: int
    channels: int
    patch: int
    table: Place
    fill: int


@dataclass(frozen=True, kw_only=True)
class Conv(Op):
    """A convolution, or a product of rows with a matrix: those are a map of height 1."""

    kind: ClassVar[int] = 2
    src: Place
    is_float: int
    height: int
    width: int
    channels: int
    src_stride: int
    out_height: int
    out_width: int
    outputs: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int
    weights: Place
    scales: Place | None
    sums: Place | None
    bias: Place
    zero: int
    activation: int = NONE
    residual: Place | None = None
    residual_stride: int = 0
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class Depthwise(Conv):
    """A convolution of every channel with itself."""

    kind: ClassVar[int] = 3


@dataclass(frozen=True, kw_only=True)
class Slic(Op):
    """The superpixels of the picture."""

    kind: ClassVar[int] = 4
    assignment: Place | None = None
    map: Place | None = None
    scratch: Place
    scratch_bytes: int
    geometry: Geometry
    iterations: int
    coarse_iterations: int
    compactness: float
    relaxation: float


@dataclass(frozen=True, kw_only=True)
class Pool(Op):
    """Means over the patches of every superpixel."""

    kind: ClassVar[int] = 5
    src: Place
    src_stride: int
    channels: int
    assignment: Place
    means: Place | None = None
    occupied: Place | None = None
    centroids: Place | None = None
    scratch: Place
    scratch_bytes: int
    geometry: Geometry
    soft: int


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Op):
    kind: ClassVar[int] = 6
    src: Place
    rows: int
    channels: int
    src_stride: int
    gamma: Place | None
    beta: Place | None
    epsilon: float
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class Attention(Op):
    """softmax(scale * q k^T + mask) v for every head."""

    kind: ClassVar[int] = 7
    query: Place
    query_stride: int
    key: Place
    key_stride: int
    value: Place
    value_stride: int
    heads: int
    rows: int
    tokens: int
    head_width: int
    scale: float
    mask: Place | None
    scratch: Place
    scratch_bytes: int
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class Binary(Op):
    kind: ClassVar[int] = 8
    function: int
    a: Place
    a_row_stride: int
    a_column_stride: int
    b: Place
    b_row_stride: int
    b_column_stride: int
    rows: int
    columns: int
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class Unary(Op):
    kind: ClassVar[int] = 9
    function: int
    src: Place
    rows: int
    columns: int
    src_stride: int
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class Mean(Op):
    """The mean of the rows."""

    kind: ClassVar[int] = 10
    src: Place
    rows: int
    columns: int
    src_stride: int
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class Scores(Op):
    """scale * q k^T for every head, side by side: rows of heads * tokens."""

    kind: ClassVar[int] = 11
    query: Place
    query_stride: int
    key: Place
    key_stride: int
    heads: int
    rows: int
    tokens: int
    head_width: int
    scale: float
    scratch: Place
    scratch_bytes: int
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class Weighted(Op):
    """softmax(scores) v for every head, of rows as those that Scores gives."""

    kind: ClassVar[int] = 12
    scores: Place
    scores_stride: int
    value: Place
    value_stride: int
    heads: int
    rows: int
    tokens: int
    head_width: int
    scratch: Place
    scratch_bytes: int
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class Transpose(Op):
    """The columns of every batch's rows as rows."""

    kind: ClassVar[int] = 13
    src: Place
    batches: int
    rows: int
    columns: int
    batch_stride: int
    src_stride: int
    output: Output = field(default_factory=Output)


@dataclass(frozen=True)
class Plan:
    """What a file holds.

    logits: float32 [classes]. superpixel_map: int32 [map_rows, map_columns] of cells, or None.
    """

    ops: tuple[Op, ...]
    height: int
    width: int
    logits: Place
    classes: int
    superpixel_map: Place | None = None
    map_rows: int = 0
    map_columns: int = 0

"""What a model takes: the name, kind, layout, batch and size of its pictures."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from edgevit.common.errors import InputError, some_of
from edgevit.zoo.spec import Layout

_CHANNELS = 3
_CHANNEL_AXIS: dict[Layout, int] = {"nchw": 1, "nhwc": 3}
_DTYPES: dict[int, str] = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.UINT8: "uint8"}
_HALVES = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


@dataclass(frozen=True)
class ModelInput:
    """The input of a model. batch: None for any number. size_px: of both sides."""

    name: str
    dtype: str
    layout: Layout
    batch: int | None
    size_px: int

    @property
    def channel_axis(self) -> int:
        return _CHANNEL_AXIS[self.layout]

    def shape(self, batch: int) -> tuple[int, int, int, int]:
        """Of a feed."""
        if self.layout == "nchw":
            return batch, _CHANNELS, self.size_px, self.size_px
        return batch, self.size_px, self.size_px, _CHANNELS

    def __str__(self) -> str:
        batch = "B" if self.batch is None else self.batch
        return f"{self.name} {self.dtype}[{', '.join(map(str, (batch, *self.shape(1)[1:])))}]"


def find_input(model: onnx.ModelProto, size_px: int | None, layout: Layout | None) -> ModelInput:
    """The one input of a classifier.

    Args:
        size_px: of the pictures, for a model that takes any size.
        layout: where the channels are, for a model that does not say it.

    Raises:
        InputError: several inputs, or one that takes no RGB pictures of one square size; it says
            what to give or to export.
    """
    weights = {weight.name for weight in model.graph.initializer}  # before IR 4 inputs too
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        listed = some_of([_described(value) for value in inputs]) or "none"
        raise InputError(
            f"The model has {len(inputs)} inputs: {listed}. edgevit feeds one picture and nothing "
            "else; export the model with its other inputs as constants."
        )
    (value,) = inputs
    dtype, sides = _dtype(value), _dimensions(value)
    if sides is None or len(sides) != 4:
        raise InputError(
            f"The model's input is {_described(value)}; expected pictures, [B, 3, H, W] or "
            "[B, H, W, 3]. Export it with such an input."
        )
    found = _layout(value, sides, layout)
    height, width = sides[2:] if found == "nchw" else sides[1:3]
    batch = sides[0] if isinstance(sides[0], int) else None
    return ModelInput(value.name, dtype, found, batch, _size(value, height, width, size_px))


def fix_input(model: onnx.ModelProto, found: ModelInput) -> onnx.ModelProto:
    """A copy whose input has the shape that was found; other shapes are inferred anew from it."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    (value,) = (value for value in fixed.graph.input if value.name == found.name)
    dims = value.type.tensor_type.shape.dim
    for dim, side in zip(dims, found.shape(found.batch or 1), strict=True):
        dim.Clear()
        dim.dim_value = side
    if found.batch is None:
        dims[0].Clear()
        dims[0].dim_param = "batch"
    del fixed.graph.value_info[:]
    for output in fixed.graph.output:
        output.type.tensor_type.ClearField("shape")
    return fixed


def _dtype(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type.elem_type
    if kind in _DTYPES:
        return _DTYPES[kind]
    remedy = (
        "Export it in float32: edgevit quantize makes a float16 form of it."
        if kind in _HALVES
        else "Export it with a float32 or uint8 input."
    )
    raise InputError(
        f"The model's input is {_described(value)}; expected float32 or uint8. {remedy}"
    )


def _dimensions(value: onnx.ValueInfoProto) -> list[int | None] | None:
    """None for a side that is not fixed, and for an input that says no shape."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim]


def _layout(value: onnx.ValueInfoProto, sides: list[int | None], asked: Layout | None) -> Layout:
    fitting: list[Layout] = [
        name for name, axis in _CHANNEL_AXIS.items() if sides[axis] in (_CHANNELS, None)
    ]
    if asked is not None:
        if asked not in fitting:
            raise InputError(
                f"--layout got {asked}, but the model's input is {_described(value)}, which has "
                f"{sides[_CHANNEL_AXIS[asked]]} channels there. Leave the option out."
            )
        return asked
    certain = [name for name in fitting if sides[_CHANNEL_AXIS[name]] == _CHANNELS]
    if len(certain) == 1:
        return certain[0]
    if not fitting:
        raise InputError(
            f"The model's input is {_described(value)}; expected three channels (RGB), as "
            "[B, 3, H, W] or [B, H, W, 3]. Models of grey or other pictures are not run."
        )
    raise InputError(
        f"The model's input is {_described(value)}, which does not say where its channels are. "
        "Give --layout nchw or --layout nhwc."
    )


def _size(
    value: onnx.ValueInfoProto, height: int | None, width: int | None, asked: int | None
) -> int:
    fixed = {side for side in (height, width) if side is not None}
    if len(fixed) > 1:
        raise InputError(
            f"The model's input is {_described(value)}; expected square pictures. Export it with "
            "one size for both sides."
        )
    if not fixed and asked is None:
        raise InputError(
            f"The model's input is {_described(value)}: it takes pictures of any size, and a "
            "bundle has one. Give it, such as --size 224."
        )
    (size,) = fixed or {asked or 0}
    if asked is not None and size != asked:
        raise InputError(
            f"--size got {asked}, but the model takes pictures of {size} pixels only. Leave the "
            "option out, or export the model for another size."
        )
    return size


def _described(value: onnx.ValueInfoProto) -> str:
    """``x float32[batch, 3, ?, ?]``."""
    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    kind = _DTYPES.get(tensor.elem_type, kind)
    if not tensor.HasField("shape"):
        return f"{value.name} {kind}[?]"
    dims = tensor.shape.dim
    sides = [str(dim.dim_value) if dim.dim_value > 0 else dim.dim_param or "?" for dim in dims]
    return f"{value.name} {kind}[{', '.join(sides)}]"

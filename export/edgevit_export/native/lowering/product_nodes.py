"""Gemm, MatMul with a constant, and Conv: products in eight bits where their input has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit_export.native import plan
from edgevit_export.native.draft.draft import Draft
from edgevit_export.native.draft.maps import Map, map_of_rows
from edgevit_export.native.draft.reading import Rows, byte_rows, float_rows
from edgevit_export.native.draft.tensors import (
    Floats,
    Numbers,
    Pixels,
    Scaling,
    UnsupportedError,
    View,
    whole,
)
from edgevit_export.native.draft.transposed import in_column_order, in_row_order
from edgevit_export.native.lowering.pack_weights import (
    float_panels,
    int8_panels,
    of_panels,
    tap_pairs,
)
from edgevit_export.native.lowering.product_weights import Weight, kernel, matrix
from edgevit_export.native.lowering.view_nodes import known
from edgevit_export.native.plan import Constant, Place

_LEAST_INPUTS = 16  # smaller products gain nothing from eight bits
_GROUP = 4  # inputs that an instruction for eight bits takes at once
_CHANNELS = 8  # that the eight-bit kernel for depthwise convolutions takes at once
_PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0}  # of a Gemm that adds a bias to a product


@dataclass(frozen=True)
class _Operand:
    """What a product reads, and the weights in the order of its kernel.

    scaling: of the bytes; None for floats. padded: makes a vector of outputs fit the weights.
    """

    rows: Rows
    channels: int
    weights: NDArray[Any]
    scaling: Scaling | None
    padded: Callable[[NDArray[Any]], NDArray[Any]]


def gemm(draft: Draft, node: ir.Node) -> View:
    """Rows [.., K] with a constant [K, N], or [N, K] with transB."""
    options = {name: attribute.value for name, attribute in node.attributes.items()}
    if any(options.get(name, usual) != usual for name, usual in _PLAIN.items()):
        raise UnsupportedError("it scales or transposes its input")
    view = draft.view(node.inputs[0])
    if isinstance(view.tensor, Numbers) and node.op_type == "MatMul":
        return _of_columns(draft, node)
    weight = matrix(draft.view(node.inputs[1]), bool(options.get("transB", 0)))
    return _of_rows(draft, view, weight, _bias(draft, node, weight))


def _of_columns(draft: Draft, node: ir.Node) -> View:
    """A constant [N, K] with columns [.., K, M]: as rows times the transposed constant."""
    view = draft.view(node.inputs[1])
    weight = matrix(draft.view(node.inputs[0]), is_transposed=True)
    columns = view.at(view.places.swapaxes(-1, -2))
    result = _of_rows(draft, columns, weight, np.zeros(weight.outputs, np.float32))
    return result.at(result.places.swapaxes(-1, -2))


def _of_rows(draft: Draft, view: View, weight: Weight, bias: Floats) -> View:
    """[.., K] to [.., N]: rows are multiplied in the order in which they lie."""
    *outer, inputs = view.shape
    rows, order = in_row_order(draft, view, inputs)
    over = map_of_rows(rows) or Map((1, len(order)), (1, len(order)))
    if not over.is_by_place:  # as windows, which need not be copied
        weight = weight.in_taps(over.kernel[0] * over.kernel[1])
        rows = rows.at(np.arange(rows.places.size))
    operand = _operand(draft, rows, weight, over)
    result = _emitted(draft, plan.Conv, operand, weight, bias, over)
    places = np.empty_like(result.places)
    places[order] = result.places
    return result.at(places.reshape(*outer, weight.outputs))


def conv(draft: Draft, node: ir.Node) -> View:
    """Maps [B, C, H, W]: one lies as rows (y, x) of channels."""
    view = draft.view(node.inputs[0])
    batch, channels, height, width = view.shape
    weight = kernel(draft.view(node.inputs[1]))
    options = {name: attribute.value for name, attribute in node.attributes.items()}
    over = _over_map((height, width), draft.view(node.inputs[1]).shape[2:], options)
    group = options.get("group", 1)
    bias = _bias(draft, node, weight)
    if group == channels == weight.outputs and (group > 1 or batch > 1):
        return _by_channel(draft, view, weight, bias, over)
    if group != 1:
        raise UnsupportedError(
            f"it takes {channels} channels to {weight.outputs} in {group} groups"
        )
    rows = view.at(view.places.transpose(0, 2, 3, 1))
    if over.is_by_place and batch > 1:
        result = _of_rows(draft, rows, weight, bias)
    elif batch > 1:
        raise UnsupportedError("it takes several maps at once")
    else:
        operand = _operand(draft, rows, weight, over)
        result = _emitted(draft, plan.Conv, operand, weight, bias, over)
    return result.at(result.places.reshape(batch, *over.result, -1).transpose(0, 3, 1, 2))


def _by_channel(draft: Draft, view: View, weight: Weight, bias: Floats, over: Map) -> View:
    """A convolution of every channel with itself: more maps are more channels."""
    batch, channels = view.shape[:2]
    rows, order = in_column_order(draft, view.at(view.places.transpose(2, 3, 0, 1)), over.places)
    weight, bias = weight.of_outputs(order % channels), bias[order % channels]
    operand = _operand_by_channel(draft, rows, weight, over)
    result = _emitted(draft, plan.Depthwise, operand, weight, bias, over)
    places = np.empty_like(result.places)
    places[:, order] = result.places
    return result.at(places.reshape(*over.result, batch, channels).transpose(2, 3, 0, 1))


def _over_map(source: tuple[int, int], size: tuple[int, ...], options: Mapping[str, Any]) -> Map:
    if set(options.get("dilations", (1, 1))) != {1}:
        raise UnsupportedError("its kernel has gaps")
    if options.get("auto_pad", "NOTSET") != "NOTSET":
        raise UnsupportedError("its padding is not written down")
    (down, across), pads = options.get("strides", (1, 1)), options.get("pads", (0, 0, 0, 0))
    height = (source[0] + pads[0] + pads[2] - size[0]) // down + 1
    width = (source[1] + pads[1] + pads[3] - size[1]) // across + 1
    return Map(source, (height, width), (size[0], size[1]), (down, across), (pads[0], pads[1]))


def _bias(draft: Draft, node: ir.Node, weight: Weight) -> Floats:
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return np.zeros(weight.outputs, np.float32)
    return np.broadcast_to(known(draft, node, 2).astype(np.float32).ravel(), weight.outputs)


# Operands ----------------------------------------------------------------------------------------


def _operand(draft: Draft, view: View, weight: Weight, over: Map) -> _Operand:
    """Of a product: bytes where the view and the weight have them and the kernel takes them."""
    channels = weight.channels
    if view.scaling is None or weight.int8 is None or not _takes_bytes(view, weight):
        rows = float_rows(draft, view, over.places, channels)
        panels = float_panels(weight.values.reshape(-1, weight.outputs))
        return _Operand(rows, channels, panels, None, of_panels)
    rows = byte_rows(draft, view, view.scaling, over.places, channels)
    missing = -channels % _GROUP  # the picture's fourth channel
    filled = np.pad(weight.int8, ((0, 0), (0, missing), (0, 0)))
    int8 = int8_panels(filled.reshape(-1, weight.outputs))
    return _Operand(rows, channels + missing, int8, view.scaling, of_panels)


def _takes_bytes(view: View, weight: Weight) -> bool:
    is_picture = isinstance(view.tensor, Pixels) and weight.channels == 3
    fits = weight.channels % _GROUP == 0 or is_picture
    return fits and weight.taps * weight.channels >= _LEAST_INPUTS


def _operand_by_channel(draft: Draft, view: View, weight: Weight, over: Map) -> _Operand:
    """Of a convolution of every channel with itself."""
    channels = weight.outputs
    if view.scaling is None or weight.int8 is None or channels % _CHANNELS:
        rows = float_rows(draft, view, over.places, channels)
        return _Operand(rows, channels, weight.values[:, 0], None, np.asarray)
    rows = byte_rows(draft, view, view.scaling, over.places, channels)
    return _Operand(rows, channels, tap_pairs(weight.int8[:, 0]), view.scaling, np.asarray)


# The operation -----------------------------------------------------------------------------------


def _emitted(  # noqa: PLR0913, PLR0917
    draft: Draft, kind: type[plan.Conv], operand: _Operand, weight: Weight, bias: Floats, over: Map
) -> View:
    """Rows [places of the map, C] to rows [places of the result, N]."""
    op = kind(
        name=draft.name(),
        src=operand.rows.place,
        is_float=int(operand.scaling is None),
        height=over.source[0],
        width=over.source[1],
        channels=operand.channels,
        src_stride=operand.rows.stride,
        out_height=over.result[0],
        out_width=over.result[1],
        outputs=weight.outputs,
        kernel_h=over.kernel[0],
        kernel_w=over.kernel[1],
        stride_h=over.strides[0],
        stride_w=over.strides[1],
        pad_h=over.pads[0],
        pad_w=over.pads[1],
        weights=_constant(operand.weights),
        scales=_scales(operand, weight),
        sums=_sums(operand, weight),
        bias=_constant(operand.padded(bias)),
        zero=operand.scaling.zero if operand.scaling else 0,
    )
    return whole(draft.emit(op, over.places_of_result, weight.outputs))


def _scales(operand: _Operand, weight: Weight) -> Place | None:
    """What a sum of whole numbers is multiplied by, for every output."""
    if operand.scaling is None or weight.scales is None:
        return None
    return _constant(operand.padded(np.float32(operand.scaling.scale) * weight.scales))


def _sums(operand: _Operand, weight: Weight) -> Place | None:
    """The sum of the weights of every output: what the zero point has to be multiplied by."""
    if operand.scaling is None or weight.int8 is None:
        return None
    return _constant(operand.padded(weight.int8.sum((0, 1), dtype=np.int32)))


def _constant(values: NDArray[Any]) -> Place:
    return Place(Constant(np.ascontiguousarray(values)))

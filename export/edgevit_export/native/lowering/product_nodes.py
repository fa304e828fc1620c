"""Gemm, MatMul with a constant, and Conv: products in eight bits where their input has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit_export.native import plan
from edgevit_export.native.lowering.draft import Draft, Rows
from edgevit_export.native.lowering.pack_weights import (
    float_panels,
    int8_panels,
    of_panels,
    tap_pairs,
)
from edgevit_export.native.lowering.shape_nodes import known
from edgevit_export.native.lowering.tensors import (
    Floats,
    Numbers,
    Pixels,
    UnsupportedError,
    View,
    whole,
)
from edgevit_export.native.plan import Constant, Place

_LEAST_INPUTS = 16  # smaller products gain nothing from eight bits
_GROUP = 4  # inputs that an instruction for eight bits takes at once
_CHANNELS = 8  # that the eight-bit kernel for depthwise convolutions takes at once


@dataclass(frozen=True)
class _Weight:
    """float32 [taps, C, N]; the same as int8 with a scale for every output, if it is stored so."""

    values: Floats
    int8: NDArray[np.int8] | None
    scales: Floats | None


@dataclass(frozen=True)
class _Map:
    """How a kernel goes over a map. The taps of a kernel come in the order (y, x)."""

    height: int
    width: int
    out_height: int
    out_width: int
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)

    @property
    def arguments(self) -> dict[str, int]:
        names = ("height", "width", "out_height", "out_width")
        sizes = {name: getattr(self, name) for name in names}
        for name, pair in (("kernel", self.kernel), ("stride", self.strides), ("pad", self.pads)):
            sizes |= {f"{name}_h": pair[0], f"{name}_w": pair[1]}
        return sizes

    @property
    def places(self) -> int:
        return self.height * self.width

    @property
    def out_places(self) -> int:
        return self.out_height * self.out_width


def gemm(draft: Draft, node: ir.Node) -> View:
    """Rows [.., K] with a constant [K, N], or [N, K] with transB."""
    options = {name: attribute.value for name, attribute in node.attributes.items()}
    plain = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    if any(options.get(name, usual) != usual for name, usual in plain.items()):
        raise UnsupportedError("it scales or transposes its input")
    view = draft.view(node.inputs[0])
    turned = bool(options.get("transB", 0))
    weight = _weight(draft.view(node.inputs[1]), (1, 0) if turned else (0, 1))
    *outer, inputs = view.shape
    rows, outputs = view.places.size // inputs, weight.values.shape[2]
    over = _Map(1, rows, 1, rows)
    places = view.places.reshape(rows, inputs)
    result = _convolve(draft, view.at(places), weight, _bias(draft, node, outputs), over)
    return result.at(result.places.reshape(*outer, outputs))


def conv(draft: Draft, node: ir.Node) -> View:
    """A map [1, C, H, W], which lies as rows (y, x) of channels."""
    view = draft.view(node.inputs[0])
    _, channels, height, width = view.shape
    outputs, inner, *kernel = draft.view(node.inputs[1]).shape
    options = {name: attribute.value for name, attribute in node.attributes.items()}
    over = _over_map(height, width, (kernel[0], kernel[1]), options)
    group = options.get("group", 1)
    weight = _kernel(draft.view(node.inputs[1]))
    bias = _bias(draft, node, outputs)
    rows = view.at(view.places.transpose(0, 2, 3, 1).reshape(height * width, channels))
    if group == 1:
        result = _convolve(draft, rows, weight, bias, over)
    elif group == channels == outputs and inner == 1:
        result = _convolve_channels(draft, rows, weight, bias, over)
    else:
        raise UnsupportedError(f"its {channels} channels are in {group} groups")
    shape = (1, over.out_height, over.out_width, outputs)
    return result.at(result.places.reshape(shape).transpose(0, 3, 1, 2))


def _over_map(
    height: int, width: int, kernel: tuple[int, int], options: Mapping[str, Any]
) -> _Map:
    strides = tuple(options.get("strides", (1, 1)))
    top, left, bottom, right = options.get("pads", (0, 0, 0, 0))
    if set(options.get("dilations", (1, 1))) != {1}:
        raise UnsupportedError("its kernel has gaps")
    if options.get("auto_pad", "NOTSET") != "NOTSET":
        raise UnsupportedError("its padding is not written down")
    return _Map(
        height,
        width,
        (height + top + bottom - kernel[0]) // strides[0] + 1,
        (width + left + right - kernel[1]) // strides[1] + 1,
        kernel,
        (strides[0], strides[1]),
        (top, left),
    )


# Weights -----------------------------------------------------------------------------------------


def _weight(view: View, order: tuple[int, int]) -> _Weight:
    """A matrix [1, K, N]. ``order``: the axes of K and N."""
    values = view.constant
    if values is None or values.ndim != 2:
        raise UnsupportedError("both of its matrices depend on the picture")
    stored = _stored(view, order[1])
    return _Weight(
        values.transpose(order)[None].astype(np.float32),
        None if stored is None else stored[0].transpose(order)[None],
        None if stored is None else stored[1],
    )


def _kernel(view: View) -> _Weight:
    """A kernel [N, C, kh, kw] as [kh * kw, C, N]."""
    values = view.constant
    if values is None:
        raise UnsupportedError("its kernel depends on the picture")
    outputs, inner = values.shape[:2]

    def turned(array: NDArray[Any]) -> NDArray[Any]:
        return array.transpose(2, 3, 1, 0).reshape(-1, inner, outputs)

    stored = _stored(view, 0)
    return _Weight(
        turned(values).astype(np.float32),
        None if stored is None else turned(stored[0]),
        None if stored is None else stored[1],
    )


def _stored(view: View, axis: int) -> tuple[NDArray[np.int8], Floats] | None:
    """(int8, scales) of a weight that is stored so, with a scale for every output."""
    tensor = view.tensor
    if not isinstance(tensor, Numbers) or tensor.int8 is None:
        return None
    found = tensor.int8
    is_plain = np.array_equal(view.places.ravel(), np.arange(found.values.size))
    if view.shape != found.values.shape or not is_plain or found.axis != axis:
        return None
    return found.values, found.scales


def _bias(draft: Draft, node: ir.Node, outputs: int) -> Floats:
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return np.zeros(outputs, np.float32)
    return np.broadcast_to(known(draft, node, 2).astype(np.float32), outputs)


# Operations --------------------------------------------------------------------------------------


def _convolve(draft: Draft, view: View, weight: _Weight, bias: Floats, over: _Map) -> View:
    """Rows [places of the map, C] to rows [places of the result, N]."""
    taps, channels, outputs = weight.values.shape
    source, weights = _source(draft, view, weight, over)
    op = plan.Conv(
        name=draft.name,
        src=source.rows.place,
        is_float=int(source.scale is None),
        channels=source.channels,
        src_stride=source.rows.stride,
        outputs=outputs,
        weights=_constant(weights),
        bias=_constant(of_panels(bias)),
        scales=source.scales(weight, of_panels),
        sums=source.sums(weight, of_panels),
        zero=source.zero,
        **over.arguments,
    )
    return whole(draft.emit(op, over.out_places, outputs))


def _convolve_channels(
    draft: Draft, view: View, weight: _Weight, bias: Floats, over: _Map
) -> View:
    """The same, of every channel with itself."""
    taps, _, channels = weight.values.shape
    is_int8 = view.scaling and weight.int8 is not None and channels % _CHANNELS == 0
    rows = (draft.byte_rows if is_int8 else draft.float_rows)(view, over.places, channels)
    source = _Source(rows, channels, view if is_int8 else None)
    stored = weight.int8 if is_int8 else None
    weights = weight.values[:, 0] if stored is None else tap_pairs(stored[:, 0])
    op = plan.Depthwise(
        name=draft.name,
        src=rows.place,
        is_float=int(not is_int8),
        channels=channels,
        src_stride=rows.stride,
        outputs=channels,
        weights=_constant(weights),
        bias=_constant(bias),
        scales=source.scales(weight, np.asarray),
        sums=source.sums(weight, np.asarray),
        zero=source.zero,
        **over.arguments,
    )
    return whole(draft.emit(op, over.out_places, channels))


@dataclass(frozen=True)
class _Source:
    """Where a product reads, and how the bytes are to be understood if they are bytes."""

    rows: Rows
    channels: int
    quantized: View | None

    @property
    def scale(self) -> float | None:
        view = self.quantized
        return None if view is None or view.scaling is None else view.scaling.scale

    @property
    def zero(self) -> int:
        view = self.quantized
        return 0 if view is None or view.scaling is None else view.scaling.zero

    def scales(self, weight: _Weight, padded: Any) -> Place | None:
        if self.scale is None or weight.scales is None:
            return None
        return _constant(padded(np.float32(self.scale) * weight.scales))

    def sums(self, weight: _Weight, padded: Any) -> Place | None:
        if self.scale is None or weight.int8 is None:
            return None
        return _constant(padded(weight.int8.astype(np.int32).sum((0, 1), dtype=np.int32)))


def _source(
    draft: Draft, view: View, weight: _Weight, over: _Map
) -> tuple[_Source, NDArray[Any]]:
    """(the rows that a product reads, its weights in panels)."""
    taps, channels, outputs = weight.values.shape
    is_picture = isinstance(view.tensor, Pixels)
    takes_bytes = channels % _GROUP == 0 or (is_picture and channels == 3 and taps > 1)
    if view.scaling is None or weight.int8 is None or not takes_bytes or (
        taps * channels < _LEAST_INPUTS
    ):
        rows = draft.float_rows(view, over.places, channels)
        return _Source(rows, channels, None), float_panels(weight.values.reshape(-1, outputs))
    rows = draft.byte_rows(view, over.places, channels)
    missing = -channels % _GROUP
    padded = np.pad(weight.int8, ((0, 0), (0, missing), (0, 0)))
    panels = int8_panels(padded.reshape(-1, outputs))
    return _Source(rows, channels + missing, view), panels


def _constant(values: NDArray[Any]) -> Place:
    return Place(Constant(np.ascontiguousarray(values)))

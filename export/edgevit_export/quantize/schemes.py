"""How a quantized product is written for every target, because the targets disagree.

Only the two operands of a matrix product become int8; biases, residual sums, softmax, LayerNorm,
GELU, the attention mask and the superpixels stay float. Convolutions are quantized where standard
Q/DQ says it (OpenVINO, TensorRT, edgevit's own engine); ONNX Runtime has no integer convolution
that gives float. Weights have a scale a column (an output channel) and no zero point, unless said
otherwise.

=====================  ===============================================================
onnxruntime-x86        uint8 activations, int8 weights, one fused product that adds the
                       bias and gives float; needs VNNI or AMX, else sums saturate
onnxruntime-x86-avx2   the same for processors without: uint8 weights about 128
onnxruntime-arm        the same with int8 activations about 0
openvino               standard Q/DQ, uint8 activations, int8 weights
tensorrt               standard Q/DQ, int8 activations about 0, float bias
native                 as openvino, with the superpixels as custom ops: what edgevit's own
                       engine is compiled from
=====================  ===============================================================

Candidates beside them: ``dynamic`` (the range of an activation is measured anew for every picture)
and ``weights`` (int8 in the file, float in the product).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from edgevit_export.quantize.products import Product, Writer, find_products, replace_products
from edgevit_export.quantize.ranges import Range

_CONTRIB = "com.microsoft"

# Writes a product of an input, whose range is known or not needed, and returns its result.
Form = Callable[[Product, ir.Value, Range | None, Writer], ir.Value]


@dataclass(frozen=True)
class Scheme:
    """A form of quantization. ``calibrated``: whether it needs the ranges of activations.

    runtime: which runtime reads what it writes. is_target: or else a candidate for comparison.
    convolutions: whether they are quantized too.
    """

    name: str
    runtime: str
    form: Form
    calibrated: bool = True
    is_target: bool = True
    convolutions: bool = False


def quantized(
    model: ir.Model,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    keep_float: frozenset[str] = frozenset(),
    products: Sequence[Product] | None = None,
) -> ir.Model:
    """A copy of a float model with its products quantized.

    Args:
        ranges: by the name of a product's input tensor; unused unless ``scheme.calibrated``.
        keep_float: names of products that stay as they are.
        products: all of the model's, where they are known; they keep their int8 weights.
    """
    everything = find_products(model, scheme.convolutions) if products is None else products
    chosen = [p for p in everything if p.name not in keep_float]

    def rewrite(product: Product, source: ir.Value, writer: Writer) -> ir.Value:
        return scheme.form(product, source, ranges.get(product.source), writer)

    result = replace_products(model, chosen, rewrite)
    if scheme.runtime == "openvino":
        InlinePass()(result)  # it knows no local functions
    if scheme.runtime == "onnxruntime":
        result.opset_imports.setdefault(_CONTRIB, 1)
    return result


def _known(found: Range | None, product: Product) -> Range:
    if found is None:
        raise ValueError(f"no range was found for {product.source}, the input of {product.name}")
    return found


def _fused(
    product: Product, activation: tuple[ir.Value, ...], writer: Writer, about_128: bool = False
) -> ir.Value:
    """MatMulIntegerToFloat on an activation (quantized, scale, zero point)."""
    weight, scales = product.int8
    name = product.result
    zero = None
    if about_128:
        shifted = (weight.astype(np.int16) + 128).astype(np.uint8)
        stored = writer.constant(f"{name}.weight_uint8", shifted)
        zero = writer.constant(f"{name}.weight_zero", np.array(128, np.uint8))
    else:
        stored = writer.constant(f"{name}.weight_int8", weight)
    quantized_source, scale, source_zero = activation
    weight_scale = writer.constant(f"{name}.weight_scale", scales)
    inputs = [quantized_source, stored, scale, weight_scale, source_zero, zero]
    if product.bias is not None:
        inputs.append(writer.constant(f"{name}.bias", product.bias))
    elif zero is None:
        inputs.pop()
    (result,) = writer.node("MatMulIntegerToFloat", inputs, f"{name}.int8", domain=_CONTRIB)
    return result


def _onnxruntime(signed: bool, about_128: bool = False) -> Form:
    def form(product: Product, source: ir.Value, found: Range | None, writer: Writer) -> ir.Value:
        activation = _quantize(source, _known(found, product), writer, signed)
        return _fused(product, activation, writer, about_128)

    return form


def _dynamic(product: Product, source: ir.Value, found: Range | None, writer: Writer) -> ir.Value:
    del found
    names = [f"{source.name}.{part}" for part in ("dynamic", "dynamic_scale", "dynamic_zero")]
    return _fused(product, writer.node("DynamicQuantizeLinear", [source], *names), writer)


def _qdq(signed: bool) -> Form:
    def form(product: Product, source: ir.Value, found: Range | None, writer: Writer) -> ir.Value:
        activation = _quantize(source, _known(found, product), writer, signed)
        name = f"{source.name}.dequantized"
        (floats,) = writer.node("DequantizeLinear", activation, name)
        return _float_product(product, floats, writer)

    return form


def _weights(product: Product, source: ir.Value, found: Range | None, writer: Writer) -> ir.Value:
    del found
    return _float_product(product, source, writer)


def _float_product(product: Product, source: ir.Value, writer: Writer) -> ir.Value:
    """A Gemm or MatMul as before, its matrix dequantized from int8."""
    if product.convolution is not None:
        return _float_convolution(product, source, writer)
    weight, scales = product.int8
    name = product.result
    stored = [
        writer.constant(f"{name}.weight_int8", weight),
        writer.constant(f"{name}.weight_scale", scales),
    ]
    (matrix,) = writer.node("DequantizeLinear", stored, f"{name}.weight", axis=1)
    if product.bias is None:
        (result,) = writer.node("MatMul", [source, matrix], f"{name}.int8")
    else:
        bias = writer.constant(f"{name}.bias", product.bias)
        (result,) = writer.node("Gemm", [source, matrix, bias], f"{name}.int8")
    return result


def _float_convolution(product: Product, source: ir.Value, writer: Writer) -> ir.Value:
    """A Conv as before, its weight dequantized from int8; a scale for every output channel."""
    weight, scales = product.int8
    name = product.result
    stored = [
        writer.constant(f"{name}.weight_int8", product.as_kernel(weight)),
        writer.constant(f"{name}.weight_scale", scales),
    ]
    inputs = [source, *writer.node("DequantizeLinear", stored, f"{name}.weight", axis=0)]
    if product.bias is not None:
        inputs.append(writer.constant(f"{name}.bias", product.bias))
    (result,) = writer.node("Conv", inputs, f"{name}.int8", **(product.convolution or {}))
    return result


def _quantize(
    source: ir.Value, found: Range, writer: Writer, signed: bool
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """A QuantizeLinear of a product's input: (quantized, scale, zero point)."""
    name = source.name
    step, middle = (found.symmetric(), np.int8(0)) if signed else found.asymmetric()
    scale = writer.constant(f"{name}.scale", np.array(step))
    zero = writer.constant(f"{name}.zero", np.array(middle))
    (result,) = writer.node("QuantizeLinear", [source, scale, zero], f"{name}.quantized")
    return result, scale, zero


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("onnxruntime-x86", "onnxruntime", _onnxruntime(signed=False)),
        Scheme("onnxruntime-x86-avx2", "onnxruntime", _onnxruntime(signed=False, about_128=True)),
        Scheme("onnxruntime-arm", "onnxruntime", _onnxruntime(signed=True)),
        Scheme("openvino", "openvino", _qdq(signed=False), convolutions=True),
        Scheme("tensorrt", "tensorrt", _qdq(signed=True), convolutions=True),
        Scheme("native", "native", _qdq(signed=False), convolutions=True),
        Scheme("dynamic", "onnxruntime", _dynamic, calibrated=False, is_target=False),
        Scheme("weights", "onnxruntime", _weights, calibrated=False, is_target=False),
    )
}

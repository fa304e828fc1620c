"""How a quantized product is written for every target, because the targets disagree.

Only the two operands of a matrix product become int8; biases, residual sums, softmax, LayerNorm,
GELU, the attention mask and the superpixels stay float. Convolutions are quantized where standard
Q/DQ says it (OpenVINO, TensorRT); ONNX Runtime has no integer convolution that gives float. Weights
have a scale a column (an output channel) and no zero point, unless said otherwise.

=====================  ===============================================================
onnxruntime-x86        uint8 activations, int8 weights, one fused product that adds the
                       bias and gives float; needs VNNI or AMX, else sums saturate
onnxruntime-x86-avx2   the same for processors without: uint8 weights about 128
onnxruntime-arm        the same with int8 activations about 0
openvino               standard Q/DQ, uint8 activations, int8 weights
tensorrt               standard Q/DQ, int8 activations about 0, float bias
=====================  ===============================================================

Candidates beside them: ``dynamic`` (the range of an activation is measured anew for every picture)
and ``weights`` (int8 in the file, float in the product).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, inliner

from edgevit_export.quantize.products import Product, Rewritten, find_products, replace_products
from edgevit_export.quantize.ranges import Range

_CONTRIB = "com.microsoft"

Int8 = NDArray[np.int8]
Rewrite = Callable[[Product, Range | None, Rewritten], None]


@dataclass(frozen=True)
class Scheme:
    """A form of quantization. ``calibrated``: whether it needs the ranges of activations.

    runtime: which runtime reads what it writes. is_target: or else a candidate for comparison.
    convolutions: whether they are quantized too.
    """

    name: str
    runtime: str
    rewrite: Rewrite
    calibrated: bool = True
    is_target: bool = True
    convolutions: bool = False


def quantized(
    model: onnx.ModelProto,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    keep_float: frozenset[str] = frozenset(),
) -> onnx.ModelProto:
    """A copy of a float model with its products quantized.

    Args:
        ranges: by the name of a product's input tensor; unused unless ``scheme.calibrated``.
        keep_float: names of products that stay as they are.
    """
    products = [p for p in find_products(model, scheme.convolutions) if p.name not in keep_float]
    shared: set[str] = set()

    def rewrite(product: Product, rewritten: Rewritten) -> None:
        own = Rewritten(product.name)
        scheme.rewrite(product, ranges.get(product.source), own)
        # Several products may read one tensor; it is quantized once.
        rewritten.nodes += [n for n in own.nodes if n.output[0] not in shared]
        rewritten.constants += [c for c in own.constants if c.name not in shared]
        shared.update(n.output[0] for n in own.nodes)
        shared.update(c.name for c in own.constants)

    result = replace_products(model, products, rewrite)
    if scheme.runtime == "openvino":
        result = inliner.inline_local_functions(result)  # it knows no local functions
    if _CONTRIB not in {entry.domain for entry in result.opset_import} and scheme.runtime == (
        "onnxruntime"
    ):
        result.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    return result


def _int8(weight: NDArray[np.float32]) -> tuple[Int8, NDArray[np.float32]]:
    """(the weight, float32 [N]): a column's scale is its largest magnitude over 127."""
    peak = np.abs(weight).max(axis=0)
    scales = np.where(peak > 0, peak / 127, 1.0).astype(np.float32)
    return np.clip(np.rint(weight / scales), -127, 127).astype(np.int8), scales


def _known(found: Range | None, product: Product) -> Range:
    if found is None:
        raise ValueError(f"no range was found for {product.source}, the input of {product.name}")
    return found


def _fused(
    product: Product, rewritten: Rewritten, activation: tuple[str, str, str], about_128: bool
) -> None:
    """MatMulIntegerToFloat on an activation (quantized, scale, zero point)."""
    weight, scales = _int8(product.weight)
    name = product.result
    inputs = [activation[0]]
    if about_128:
        shifted = (weight.astype(np.int16) + 128).astype(np.uint8)
        inputs.append(rewritten.constant(f"{name}.weight_uint8", shifted))
    else:
        inputs.append(rewritten.constant(f"{name}.weight_int8", weight))
    inputs += [activation[1], rewritten.constant(f"{name}.weight_scale", scales), activation[2]]
    zero = rewritten.constant(f"{name}.weight_zero", np.array(128, np.uint8)) if about_128 else ""
    inputs.append(zero)
    if product.bias is not None:
        inputs.append(rewritten.constant(f"{name}.bias", product.bias))
    rewritten.node("MatMulIntegerToFloat", inputs, name, domain=_CONTRIB)


def _onnxruntime(signed: bool, about_128: bool = False) -> Rewrite:
    def rewrite(product: Product, found: Range | None, rewritten: Rewritten) -> None:
        activation = _quantize(product, _known(found, product), rewritten, signed)
        _fused(product, rewritten, activation, about_128)

    return rewrite


def _dynamic(product: Product, found: Range | None, rewritten: Rewritten) -> None:
    del found
    source = product.source
    names = tuple(f"{source}.{part}" for part in ("dynamic", "dynamic_scale", "dynamic_zero"))
    rewritten.node("DynamicQuantizeLinear", [source], *names)
    _fused(product, rewritten, (names[0], names[1], names[2]), about_128=False)


def _qdq(signed: bool) -> Rewrite:
    def rewrite(product: Product, found: Range | None, rewritten: Rewritten) -> None:
        activation = _quantize(product, _known(found, product), rewritten, signed)
        floats = rewritten.node("DequantizeLinear", activation, f"{product.source}.dequantized")
        _float_product(product, floats, rewritten)

    return rewrite


def _weights(product: Product, found: Range | None, rewritten: Rewritten) -> None:
    del found
    _float_product(product, product.source, rewritten)


def _float_product(product: Product, source: str, rewritten: Rewritten) -> None:
    """A Gemm or MatMul as before, its matrix dequantized from int8."""
    if product.convolution is not None:
        _float_convolution(product, source, rewritten)
        return
    weight, scales = _int8(product.weight)
    name = product.result
    stored = [
        rewritten.constant(f"{name}.weight_int8", weight),
        rewritten.constant(f"{name}.weight_scale", scales),
    ]
    matrix = rewritten.node("DequantizeLinear", stored, f"{name}.weight", axis=1)
    if product.bias is None:
        rewritten.node("MatMul", [source, matrix], name)
    else:
        bias = rewritten.constant(f"{name}.bias", product.bias)
        rewritten.node("Gemm", [source, matrix, bias], name)


def _float_convolution(product: Product, source: str, rewritten: Rewritten) -> None:
    """A Conv as before, its weight dequantized from int8; a scale for every output channel."""
    weight, scales = _int8(product.weight)
    name = product.result
    stored = [
        rewritten.constant(f"{name}.weight_int8", product.as_kernel(weight)),
        rewritten.constant(f"{name}.weight_scale", scales),
    ]
    inputs = [source, rewritten.node("DequantizeLinear", stored, f"{name}.weight", axis=0)]
    if product.bias is not None:
        inputs.append(rewritten.constant(f"{name}.bias", product.bias))
    rewritten.node("Conv", inputs, name, **(product.convolution or {}))


def _quantize(
    product: Product, found: Range, rewritten: Rewritten, signed: bool
) -> tuple[str, str, str]:
    """A QuantizeLinear of a product's input: (quantized, scale, zero point)."""
    source = product.source
    scale, zero = (found.symmetric(), np.int8(0)) if signed else found.asymmetric()
    parameters = [
        rewritten.constant(f"{source}.scale", np.array(scale)),
        rewritten.constant(f"{source}.zero", np.array(zero)),
    ]
    quantized_name = rewritten.node("QuantizeLinear", [source, *parameters], f"{source}.quantized")
    return quantized_name, parameters[0], parameters[1]


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("onnxruntime-x86", "onnxruntime", _onnxruntime(signed=False)),
        Scheme("onnxruntime-x86-avx2", "onnxruntime", _onnxruntime(signed=False, about_128=True)),
        Scheme("onnxruntime-arm", "onnxruntime", _onnxruntime(signed=True)),
        Scheme("openvino", "openvino", _qdq(signed=False), convolutions=True),
        Scheme("tensorrt", "tensorrt", _qdq(signed=True), convolutions=True),
        Scheme("dynamic", "onnxruntime", _dynamic, calibrated=False, is_target=False),
        Scheme("weights", "onnxruntime", _weights, calibrated=False, is_target=False),
    )
}

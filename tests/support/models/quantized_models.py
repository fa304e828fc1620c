"""A float model as the scheme ``native`` quantizes it, calibrated on a handful of pictures."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from edgevit.images.image_io import Image
from edgevit_export.passes.widen_weights import widen_weights
from edgevit_export.quantize.observe import observe_products
from edgevit_export.quantize.ranges import METHODS
from edgevit_export.quantize.schemes import SCHEMES, quantized
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner


def quantized_natively(
    model: onnx.ModelProto, pictures: Image, keep_float: frozenset[str] = frozenset()
) -> onnx.ModelProto:
    """The Q/DQ form of a model; the products named in ``keep_float`` stay float."""
    graph = ir.from_proto(model)
    widen_weights(graph)
    seen = observe_products(graph, pictures, OnnxRuntimeRunner)
    ranges = {name: METHODS["minmax"](found) for name, found in seen.items()}
    return ir.to_proto(quantized(graph, SCHEMES["native"], ranges, keep_float))

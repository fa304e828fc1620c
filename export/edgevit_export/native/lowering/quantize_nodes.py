"""QuantizeLinear and DequantizeLinear: a view that remembers that it went through eight bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgevit_export.native.draft.draft import Draft
from edgevit_export.native.draft.tensors import Scaling, UnsupportedError, View
from edgevit_export.native.lowering.shape_nodes import known


def quantize(draft: Draft, node: ir.Node) -> View:
    view = draft.view(node.inputs[0])
    scale, zero = known(draft, node, 1), known(draft, node, 2)
    if scale.size != 1 or zero.dtype != np.uint8:
        raise UnsupportedError("activations have one scale and are uint8")
    return replace(view, scaling=Scaling(float(scale.item()), int(zero.item())))


def dequantize(draft: Draft, node: ir.Node) -> View:
    return draft.view(node.inputs[0])

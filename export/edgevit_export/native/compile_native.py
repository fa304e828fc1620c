"""From a bundle's ONNX model, float or Q/DQ, to the bytes of a native plan."""

from __future__ import annotations

from functools import partial

import onnx
import onnx_ir as ir

from edgevit.zoo.interface.tensors import LOGITS
from edgevit_export.convert.graph import copy_of
from edgevit_export.native.lowering.lower_graph import lowered
from edgevit_export.native.plan_file import plan_bytes
from edgevit_export.passes.keep_outputs import keep_outputs
from edgevit_export.passes.widen_weights import widen_weights


def compile_native(model: onnx.ModelProto) -> bytes:
    """The plan of a model's logits; a model with superpixels gives their map, too.

    Products whose input went through QuantizeLinear are computed in eight bits, the rest in float.

    Raises:
        InputError: the native runtime cannot compute a layer, which is named.
    """
    return native_plan(ir.from_proto(model))


def native_plan(model: ir.Model) -> bytes:
    """The same, of a model in memory, which stays as it is."""
    copy = copy_of(model)
    for rewrite in (partial(keep_outputs, names=[LOGITS]), widen_weights):
        rewrite(copy)
    return plan_bytes(lowered(copy.graph))

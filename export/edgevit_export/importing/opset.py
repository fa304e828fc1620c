"""A model at our opset, from an older or a newer one.

An op that our opset does not have yet (Gelu, Swish, RMSNormalization) is replaced by the body that
the standard gives for it; the others are converted by onnx.
"""

from __future__ import annotations

from typing import Any

import onnx
from onnx import defs, helper, inliner, version_converter

from edgevit.common.errors import InputError
from edgevit.common.untrusted.parsers import parsing, reason_of
from edgevit_export.convert.graph import IR_VERSION, OPSET

_BODIES = "edgevit.body"  # the domain of bodies until they are inlined


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard ops."""
    versions = (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return max(versions, default=1)


def at_our_opset(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The same model at our opset and IR version.

    Raises:
        InputError: it cannot be converted; the op is named.
    """
    opset = opset_of(model)
    with parsing(lambda reason: InputError(_refusal(name, opset, reason)), _reason):
        if opset > OPSET:
            model = _without_newer_ops(model, opset)
        if opset != OPSET:
            model = version_converter.convert_version(model, OPSET)
        del model.opset_import[:]
        model.opset_import.append(helper.make_opsetid("", OPSET))
        model.ir_version = IR_VERSION
        return model


def _refusal(name: str, opset: int, reason: str) -> str:
    return (
        f"{name} is of opset {opset}, and onnx cannot convert it to opset {OPSET}: {reason}. "
        f"Export it again with opset {OPSET} (torch.onnx.export(..., opset_version={OPSET}))."
    )


def _reason(error: BaseException) -> str:
    """Of an assertion in onnx's C++, what stands behind its place."""
    return reason_of(error).rpartition("failed: ")[2]


def _without_newer_ops(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    inferred = onnx.shape_inference.infer_shapes(model)
    types = _types(inferred.graph)
    for number, node in enumerate(inferred.graph.node):
        if not _is_newer(node.op_type):
            continue
        body = _body(node, opset, types)
        if body is not None:
            _give_attributes(node, list(body.attribute), opset)
            body.domain, body.name = _BODIES, f"{node.op_type}_{number}"
            node.domain, node.op_type = body.domain, body.name
            inferred.functions.append(body)
    if not inferred.functions:
        return inferred
    inferred.opset_import.append(helper.make_opsetid(_BODIES, 1))
    inlined = inliner.inline_local_functions(inferred, convert_version=True)
    for node in inlined.graph.node:
        if node.op_type == "Sum" and len(node.input) == 2:
            node.op_type = "Add"  # by which runtimes know a GELU
    return inlined


def _is_newer(op: str) -> bool:
    """Whether our opset does not have the op at all."""
    try:
        defs.get_schema(op, OPSET)
    except defs.SchemaError:
        return True
    return False


def _body(
    node: onnx.NodeProto, opset: int, types: dict[str, onnx.TypeProto]
) -> onnx.FunctionProto | None:
    """What the standard says that an op does, for this node; None where it does not say it."""
    schema: Any = defs.get_schema(node.op_type, opset)  # its stubs lack the functions
    given = [types[name].SerializeToString() if name else b"" for name in node.input]
    for version in sorted(schema.context_dependent_function_opset_versions):
        content = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), given
        )
        if content:
            made: onnx.FunctionProto = onnx.FunctionProto.FromString(content)
            return made
    if schema.has_function:
        body = onnx.FunctionProto()
        body.CopyFrom(schema.function_body)
        return body
    return None


def _give_attributes(node: onnx.NodeProto, read: list[str], opset: int) -> None:
    """Those that a body reads, with their defaults; what else there was is written into it."""
    given = {attribute.name: attribute for attribute in node.attribute}
    usual = defs.get_schema(node.op_type, opset).attributes
    chosen = [given.get(name, usual[name].default_value) for name in read]
    del node.attribute[:]
    node.attribute.extend(chosen)


def _types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    weights = {
        weight.name: helper.make_tensor_type_proto(weight.data_type, weight.dims)
        for weight in graph.initializer
    }
    values = (*graph.input, *graph.value_info, *graph.output)
    return weights | {value.name: value.type for value in values}

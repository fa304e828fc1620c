"""inline: a call of a local function becomes the nodes of its body.

OpenVINO knows no local functions, nor do the parsers of some versions of TensorRT.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

from edgevit.common.errors import CheckFailedError, MissingExtraError, some_of
from edgevit.common.untrusted.parsers import parsing


def inlined(model: bytes) -> bytes:
    """The same ONNX model without local functions.

    Raises:
        MissingExtraError: the module ``onnx`` is not installed, as on a device. Compile on a
            workstation there, and copy the bundle.
        CheckFailedError: the bytes are not an ONNX model.
    """
    if find_spec("onnx") is None:
        raise MissingExtraError("compiling for this runtime on this machine", "onnx", "export")
    import onnx
    from onnx import inliner

    with parsing(lambda reason: CheckFailedError(f"This is not an ONNX model: {reason}.")):
        parsed = onnx.load_from_string(model)
        result: bytes = inliner.inline_local_functions(parsed).SerializeToString()
    return result


def refused_layers(refusal: str, model: bytes) -> str:
    """The layers of the ops that a runtime names when it refuses a model, as a sentence.

    Nothing where it names none of the model's own ops, or where ``onnx`` is not installed.
    """
    if find_spec("onnx") is None:
        return ""
    import onnx

    words = set(re.findall(r"\w+", refusal))
    try:
        parsed = onnx.load_from_string(model)
    except Exception:  # protobuf's: the runtime's own refusal says enough of what is no model
        return ""
    nodes = [n for n in parsed.graph.node if n.op_type in words]
    named = [f"{node.name or node.output[0]} ({node.op_type})" for node in nodes]
    return f" Layers: {some_of(named)}." if named else ""

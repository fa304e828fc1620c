"""Simplifies a traced model with onnxsim, and checks that it stayed what it was."""

from __future__ import annotations

import onnx
import onnxsim

from edgevit.common.errors import CheckFailedError


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Folds constants and drops what does nothing; the custom ops and their bodies stay.

    Raises:
        CheckFailedError: onnxsim's own comparison does not hold, or it lost an input, an output or
            a function body.
    """
    simplified, holds = onnxsim.simplify(model)
    if not holds:
        raise CheckFailedError("onnxsim changed what the model computes; nothing was written.")
    for what in ("input", "output"):
        before = [v.name for v in getattr(model.graph, what)]
        after = [v.name for v in getattr(simplified.graph, what)]
        if before != after:
            raise CheckFailedError(f"onnxsim changed the model's {what}s from {before} to {after}.")
    if len(simplified.functions) != len(model.functions):
        raise CheckFailedError("onnxsim dropped the body of a custom op; nothing was written.")
    result: onnx.ModelProto = simplified
    return result

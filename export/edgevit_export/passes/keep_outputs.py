"""keep_outputs: a model with outputs (a, b, c) becomes the same model with outputs (a).

Nodes and weights that only the dropped outputs needed go too.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass


def keep_outputs(model: ir.Model, names: Sequence[str]) -> bool:
    """Rewrites in place; True if an output, a node or a weight went.

    Raises:
        KeyError: the model has no output of one of these names.
    """
    given = list(model.graph.outputs)
    outputs = {output.name: output for output in given}
    kept = [outputs[name] for name in names]
    model.graph.outputs[:] = kept
    return bool(RemoveUnusedNodesPass()(model).modified) or kept != given

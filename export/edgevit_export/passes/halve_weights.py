"""halve_weights: w (float32) becomes Cast(w16), where float32(float16(w)) == w exactly.

The file halves and the model computes the same bits: a runtime folds the Cast when it loads.
Weights that float16 cannot hold exactly stay as they are.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit_export.convert.graph import add_weight, is_initializer, weight_values

_SMALLEST = 1024  # values; below this a Cast node costs more than it saves


def halve_weights(model: ir.Model) -> bool:
    """Rewrites in place; True if a weight is now stored as float16."""
    graph = model.graph
    exact = {weight: _exact_half(weight) for weight in graph.initializers.values()}
    casts = [_cast(graph, weight, half) for weight, half in exact.items() if half is not None]
    if casts:
        graph.insert_before(graph[0], casts)
    return bool(casts)


def _cast(graph: ir.Graph, weight: ir.Value, half: NDArray[np.float16]) -> ir.Node:
    """A node whose result takes the place, and the name, of a weight."""
    stored = add_weight(graph, f"{weight.name}.float16", half)
    node = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT}, num_outputs=1)
    node.outputs[0].name, node.outputs[0].shape = weight.name, weight.shape
    node.outputs[0].dtype = ir.DataType.FLOAT
    ir.convenience.replace_all_uses_with(weight, node.outputs[0])
    del graph.initializers[str(weight.name)]
    return node


def _exact_half(weight: ir.Value) -> NDArray[np.float16] | None:
    if not is_initializer(weight, ir.DataType.FLOAT):
        return None
    values = weight_values(weight)
    if values.size < _SMALLEST:
        return None
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None

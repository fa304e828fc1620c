"""widen_weights: Cast(w16) becomes w (float32), exactly; the inverse of ``halve_weights``.

So that what looks for a layer's weights finds them, and not a Cast.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevit_export.convert.graph import (
    add_weight,
    drop_unused_weights,
    is_initializer,
    weight_values,
)


def widen_weights(model: ir.Model) -> bool:
    """Rewrites in place; True if a weight is now stored as float32."""
    graph = model.graph
    casts = [
        node
        for node in graph
        if node.op_type == "Cast" and is_initializer(node.inputs[0], ir.DataType.FLOAT16)
    ]
    for cast in casts:
        (stored,), (result,) = cast.inputs, cast.outputs
        values = weight_values(stored).astype(np.float32)
        weight = add_weight(graph, str(result.name), values)
        ir.convenience.replace_all_uses_with(result, weight)
        graph.remove(cast, safe=True)
    drop_unused_weights(graph)
    return bool(casts)

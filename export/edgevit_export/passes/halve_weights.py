"""halve_weights: w (float32) becomes Cast(w16), where float32(float16(w)) == w exactly.

The file halves and the model computes the same bits: a runtime folds the Cast when it loads.
Weights that float16 cannot hold exactly stay as they are.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgevit_export.convert.graph import set_items

_SMALLEST = 1024  # values; below this a Cast node costs more than it saves


def halve_weights(model: onnx.ModelProto) -> bool:
    """Rewrites in place; True if a weight is now stored as float16."""
    graph = model.graph
    kept, casts = [], []
    for weight in graph.initializer:
        half = _exact_half(weight)
        if half is None:
            kept.append(weight)
            continue
        name = f"{weight.name}.float16"
        kept.append(numpy_helper.from_array(half, name))
        casts.append(helper.make_node("Cast", [name], [weight.name], to=TensorProto.FLOAT))
    set_items(graph.node, [*casts, *graph.node])
    set_items(graph.initializer, kept)
    return bool(casts)


def _exact_half(weight: onnx.TensorProto) -> NDArray[np.float16] | None:
    if weight.data_type != TensorProto.FLOAT:
        return None
    values = numpy_helper.to_array(weight)
    if values.size < _SMALLEST:
        return None
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else None

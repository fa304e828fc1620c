"""widen_weights: Cast(w16) becomes w (float32), exactly; the inverse of ``halve_weights``.

So that what looks for a layer's weights finds them, and not a Cast.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from edgevit_export.convert.graph import drop_unused_weights, set_items


def widen_weights(model: onnx.ModelProto) -> bool:
    """Rewrites in place; True if a weight is now stored as float32."""
    graph = model.graph
    stored = {w.name: w for w in graph.initializer if w.data_type == TensorProto.FLOAT16}
    casts = [n for n in graph.node if n.op_type == "Cast" and n.input[0] in stored]
    for cast in casts:
        value = numpy_helper.to_array(stored[cast.input[0]]).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(value, cast.output[0]))
    gone = {cast.output[0] for cast in casts}
    set_items(graph.node, [node for node in graph.node if node.output[0] not in gone])
    drop_unused_weights(graph)
    return bool(casts)

"""keep_outputs: a model with outputs (a, b, c) becomes the same model with outputs (a).

Nodes and weights that only the dropped outputs needed go too.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from edgevit_export.convert.graph import drop_unused_weights, set_items


def keep_outputs(model: onnx.ModelProto, names: Sequence[str]) -> bool:
    """Rewrites in place; True if an output, a node or a weight went.

    Raises:
        KeyError: the model has no output of one of these names.
    """
    graph = model.graph
    outputs = {output.name: output for output in graph.output}
    kept = [outputs[name] for name in names]
    before = (len(graph.output), len(graph.node), len(graph.initializer))
    set_items(graph.output, kept)
    _drop_unused_nodes(graph)
    return before != (len(graph.output), len(graph.node), len(graph.initializer))


def _drop_unused_nodes(graph: onnx.GraphProto) -> None:
    needed = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):  # a graph is sorted: consumers come after producers
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    set_items(graph.node, nodes[::-1])
    set_items(graph.value_info, [value for value in graph.value_info if value.name in needed])
    drop_unused_weights(graph)

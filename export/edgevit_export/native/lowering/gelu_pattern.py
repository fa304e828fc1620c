"""x * (1 + erf(x / sqrt(2))) * 1/2, as torch's exporter writes GELU, is one activation."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevit_export.convert.graph import given
from edgevit_export.native import plan
from edgevit_export.native.draft.draft import Draft
from edgevit_export.native.lowering.elementwise_nodes import applied


def gelu(draft: Draft, node: ir.Node) -> bool:
    """Takes a Div and the nodes after it, if they are a GELU; whether they are."""
    found = _match(draft, node)
    if found is None:
        return False
    nodes = (node, *found)
    view = applied(draft, given(node.inputs[0]), plan.UNARY_GELU, nodes)
    draft.views[found[-1].outputs[0]] = view
    draft.done.update(found)
    return True


def _match(draft: Draft, node: ir.Node) -> tuple[ir.Node, ...] | None:
    """(Erf, Add, Mul, Mul) after a division by the root of two."""
    x = given(node.inputs[0])
    if node.op_type != "Div" or not _is(draft, node.inputs[1], np.sqrt(2)):
        return None
    chain: list[ir.Node] = []
    last = node
    for op, other in (("Erf", None), ("Add", 1.0), ("Mul", x), ("Mul", 0.5)):
        following = only_reader(last.outputs[0])
        if following is None or following.op_type != op:
            return None
        if other is not None and not _has(draft, following, last.outputs[0], other):
            return None
        chain.append(following)
        last = following
    return tuple(chain)


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads a tensor."""
    readers = [use.node for use in value.uses()]
    return None if value.is_graph_output() or len(readers) != 1 else readers[0]


def _has(draft: Draft, node: ir.Node, value: ir.Value, other: ir.Value | float) -> bool:
    rest = [v for v in node.inputs if v is not value]
    if len(rest) != 1:
        return False
    return _is(draft, rest[0], other) if isinstance(other, float) else rest[0] is other


def _is(draft: Draft, value: ir.Value | None, number: float) -> bool:
    """Whether a tensor is this one constant."""
    if value is None or not draft.is_known(value):
        return False
    found = draft.view(value).constant
    return found is not None and found.size == 1 and bool(np.isclose(found, number))

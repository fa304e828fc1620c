"""regroup_gelu: x * (0.5 * e) becomes (x * e) * 0.5, where e = 1 + erf(x / sqrt(2)).

Halving is exact, so not a bit changes; but this is the grouping that ONNX Runtime and TensorRT know
as GELU, and fuse into one kernel. torch's exporter writes the other one.
"""

from __future__ import annotations

import onnx
from onnx import numpy_helper


def regroup_gelu(model: onnx.ModelProto) -> bool:
    """Rewrites in place; True if a product was regrouped."""
    graph = model.graph
    producers = {output: node for node in graph.node for output in node.output}
    uses = [name for node in graph.node for name in node.input]
    uses += [output.name for output in graph.output]
    halves = {w.name for w in graph.initializer if _is_half(w)}
    changed = False
    for outer in graph.node:
        inner = _halving(outer, producers, halves)
        if inner is None or uses.count(inner.output[0]) != 1:
            continue
        half, e = _in_order(inner.input, halves)
        x = next(name for name in outer.input if name != inner.output[0])
        inner.input[:] = [x, e]
        outer.input[:] = [inner.output[0], half]
        changed = True
    return changed


def _halving(
    outer: onnx.NodeProto, producers: dict[str, onnx.NodeProto], halves: set[str]
) -> onnx.NodeProto | None:
    """The Mul(0.5, Add(.., Erf)) that a Mul multiplies with, if it does."""
    if outer.op_type != "Mul":
        return None
    for name in outer.input:
        inner = producers.get(name)
        if inner is None or inner.op_type != "Mul" or not halves.intersection(inner.input):
            continue
        _, e = _in_order(inner.input, halves)
        added = producers.get(e)
        if added is not None and added.op_type == "Add":
            terms = [producers.get(term) for term in added.input]
            if any(term is not None and term.op_type == "Erf" for term in terms):
                return inner
    return None


def _in_order(names: list[str], halves: set[str]) -> tuple[str, str]:
    """(the half, the other factor)."""
    first, second = names
    return (first, second) if first in halves else (second, first)


def _is_half(weight: onnx.TensorProto) -> bool:
    values = numpy_helper.to_array(weight) if len(weight.dims) == 0 else None
    return values is not None and bool(values == 0.5)

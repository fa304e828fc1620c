"""regroup_gelu: x * (0.5 * e) becomes (x * e) * 0.5, where e = 1 + erf(x / sqrt(2)).

Halving is exact, so not a bit changes; but this is the grouping that ONNX Runtime and TensorRT know
as GELU, and fuse into one kernel. torch's exporter writes the other one.
"""

from __future__ import annotations

import onnx_ir as ir

from edgevit_export.convert.graph import given


def regroup_gelu(model: ir.Model) -> bool:
    """Rewrites in place; True if a product was regrouped."""
    found = [(outer, inner) for outer in model.graph if (inner := _halving(outer)) is not None]
    for outer, inner in found:
        halved = inner.outputs[0]
        half, e = _in_order(inner)
        x = next(value for value in outer.inputs if value is not halved)
        for place, value in enumerate((x, e)):
            inner.replace_input_with(place, value)
        for place, value in enumerate((halved, half)):
            outer.replace_input_with(place, value)
    return bool(found)


def _halving(outer: ir.Node) -> ir.Node | None:
    """The Mul(0.5, Add(.., Erf)) that a Mul alone multiplies with, if it does."""
    if outer.op_type != "Mul":
        return None
    for value in outer.inputs:
        inner = _producer(value)
        if inner is None or inner.op_type != "Mul" or not any(map(_is_half, inner.inputs)):
            continue
        result = inner.outputs[0]
        if _adds_an_erf(_in_order(inner)[1]) and len(result.uses()) == 1:
            return None if result.is_graph_output() else inner
    return None


def _adds_an_erf(value: ir.Value) -> bool:
    added = _producer(value)
    if added is None or added.op_type != "Add":
        return False
    terms = map(_producer, added.inputs)
    return any(term is not None and term.op_type == "Erf" for term in terms)


def _in_order(inner: ir.Node) -> tuple[ir.Value, ir.Value]:
    """(the half, the other factor)."""
    first, second = map(given, inner.inputs)
    return (first, second) if _is_half(first) else (second, first)


def _producer(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()


def _is_half(value: ir.Value | None) -> bool:
    if value is None or value.const_value is None or len(value.const_value.shape):
        return False
    return bool(value.const_value.numpy() == 0.5)

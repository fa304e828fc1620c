"""Between a serialised ONNX model and onnx_ir's graph, which every rewrite works on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import onnx
import onnx_ir as ir

from edgevit.zoo.spec import TensorSpec

Pass = Callable[[ir.Model], bool]  # rewrites in place; whether it changed anything


def rewritten(model: onnx.ModelProto, *passes: Pass) -> onnx.ModelProto:
    """A copy of a model after some passes; the given one stays as it is."""
    graph = ir.from_proto(model)
    for rewrite in passes:
        rewrite(graph)
    return ir.to_proto(graph)


def serialized(model: ir.Model) -> bytes:
    """As a runtime opens it."""
    return ir.to_proto(model).SerializeToString()


def values_by_name(graph: ir.Graph) -> dict[str, ir.Value]:
    """Inputs, and the results of nodes."""
    made = (value for node in graph for value in node.outputs)
    return {str(value.name): value for value in (*graph.inputs, *made) if value.name}


def is_initializer(value: ir.Value | None, dtype: ir.DataType) -> bool:
    """Whether a value is a weight of that type."""
    return value is not None and value.is_initializer() and value.dtype == dtype


def weight_values(value: ir.Value) -> np.ndarray:
    """The numbers of an initializer.

    Raises:
        ValueError: it has none.
    """
    if value.const_value is None:
        raise ValueError(f"{value.name} is no initializer")
    return value.const_value.numpy()


def add_weight(graph: ir.Graph, name: str, values: np.ndarray) -> ir.Value:
    """A new initializer."""
    weight = ir.Value(name=name, const_value=ir.tensor(np.ascontiguousarray(values), name=name))
    weight.shape, weight.dtype = weight.const_value.shape, weight.const_value.dtype
    graph.register_initializer(weight)
    return weight


def drop_unused_weights(graph: ir.Graph) -> bool:
    """Keeps the initializers that a node reads or the model gives; whether one went."""
    unused = [
        name
        for name, weight in graph.initializers.items()
        if not weight.uses() and not weight.is_graph_output()
    ]
    for name in unused:
        del graph.initializers[name]
    return bool(unused)


def tensor_specs(values: Iterable[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    """A graph's inputs or outputs as the manifest lists them."""
    specs = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
        shape = tuple(d.dim_param or d.dim_value for d in tensor.shape.dim)
        specs.append(TensorSpec(value.name, dtype, shape))
    return tuple(specs)

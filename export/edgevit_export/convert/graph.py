"""Between a serialised ONNX model and onnx_ir's graph, which every rewrite works on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit.zoo.interface.tensors import TensorSpec

OPSET = 18
IR_VERSION = 10  # newest that ONNX Runtime 1.18 and TensorRT 10.3 read; onnx's default is newer

Pass = Callable[[ir.Model], bool]  # rewrites in place; whether it changed anything


def rewritten(model: onnx.ModelProto, *passes: Pass) -> onnx.ModelProto:
    """A copy of a model after some passes; the given one stays as it is."""
    graph = ir.from_proto(model)
    for rewrite in passes:
        rewrite(graph)
    return ir.to_proto(graph)


def copy_of(model: ir.Model) -> ir.Model:
    """A model of its own with the same local functions, which no rewrite changes."""
    return ir.Model(
        model.graph.clone(),
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        functions=tuple(model.functions.values()),
        metadata_props=dict(model.metadata_props),
    )


def with_stored_weights(model: ir.Model) -> ir.Model:
    """The same model; its weights are kept as a file holds them, and so copied only once a save."""
    return ir.from_proto(ir.to_proto(model))


def serialized(model: ir.Model) -> bytes:
    """As a runtime opens it."""
    content: bytes = ir.to_proto(model).SerializeToString()
    return content


def values_by_name(graph: ir.Graph) -> dict[str, ir.Value]:
    """Inputs, and the results of nodes."""
    made = (value for node in graph for value in node.outputs)
    return {str(value.name): value for value in (*graph.inputs, *made) if value.name}


def given(value: ir.Value | None) -> ir.Value:
    """An input that a node of this kind always has.

    Raises:
        ValueError: it was left out.
    """
    if value is None:
        raise ValueError("a node lacks an input that its operator needs")
    return value


def is_initializer(value: ir.Value | None, dtype: ir.DataType) -> bool:
    """Whether a value is a weight of that type."""
    return value is not None and value.is_initializer() and value.dtype == dtype


def weight_values(value: ir.Value | None) -> NDArray[Any]:
    """The numbers of an initializer.

    Raises:
        ValueError: it has none.
    """
    if value is None or value.const_value is None:
        raise ValueError(f"{value} is no initializer")
    return np.asarray(value.const_value.numpy())


def add_weight(graph: ir.Graph, name: str, values: NDArray[Any]) -> ir.Value:
    """A new initializer."""
    tensor = ir.tensor(np.asarray(values, order="C"), name=name)
    weight = ir.Value(
        name=name,
        shape=ir.Shape(values.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
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


def tensor_specs(values: Iterable[ir.Value]) -> tuple[TensorSpec, ...]:
    """A graph's inputs or outputs as the manifest lists them.

    Raises:
        ValueError: the type or shape of one is not known.
    """
    return tuple(_tensor_spec(value) for value in values)


def _tensor_spec(value: ir.Value) -> TensorSpec:
    if value.dtype is None or value.shape is None:
        raise ValueError(f"the type or shape of {value.name} is not known")
    shape = tuple(size if isinstance(size, int) else str(size.value) for size in value.shape)
    return TensorSpec(str(value.name), value.dtype.numpy().name, shape)

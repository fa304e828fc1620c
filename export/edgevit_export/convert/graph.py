"""Small steps that every rewrite of an ONNX graph takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx

from edgevit.zoo.spec import TensorSpec


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of its own, so that the given one stays as it is."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def set_items(container: Any, items: Iterable[Any]) -> None:
    """Puts items in the place of all that a repeated field holds; they may be its own."""
    wanted = list(items)
    del container[:]
    container.extend(wanted)


def drop_unused_weights(graph: onnx.GraphProto) -> None:
    """Keeps the initializers that a node reads or the model gives."""
    used = {name for node in graph.node for name in node.input}
    used |= {output.name for output in graph.output}
    set_items(graph.initializer, [w for w in graph.initializer if w.name in used])


def tensor_specs(values: Iterable[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    """A graph's inputs or outputs as the manifest lists them."""
    specs = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
        shape = tuple(d.dim_param or d.dim_value for d in tensor.shape.dim)
        specs.append(TensorSpec(value.name, dtype, shape))
    return tuple(specs)

"""A typed FP16 graph for GPU targets.

Every float32 tensor becomes float16 but

- what the superpixel ops take and give: they mean float32 on every runtime (bfloat16 and float16
  move cells to other superpixels);
- tensors that reach beyond +-60,000 on real pictures, such as residual streams with outliers:
  float16 ends at 65,504. They and what computes them stay float32.

Casts stand where the two meet. Inputs and outputs keep their types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from edgevit.inference.batches import PictureSource, infer_batches
from edgevit.inference.runner import OpenRunner
from edgevit_export.convert.graph import (
    add_weight,
    drop_unused_weights,
    serialized,
    weight_values,
)
from edgevit_export.quantize.observe import with_outputs

LARGEST = 60_000.0
_CUSTOM_DOMAIN = "edgevit"


@dataclass(frozen=True)
class Half:
    """model: the FP16 graph. kept_float: tensors that were too large, and how large, by name."""

    model: ir.Model
    kept_float: Mapping[str, float]


def to_half(model: ir.Model, pictures: PictureSource, open_runner: OpenRunner) -> Half:
    """Observes every float tensor on pictures, then rewrites a copy."""
    typed = ir.from_proto(
        onnx.shape_inference.infer_shapes(ir.to_proto(model), strict_mode=True, data_prop=True)
    )
    floats = [value for value in _results(typed.graph) if value.dtype == ir.DataType.FLOAT]
    too_large = _too_large(model, sorted(str(v.name) for v in floats), pictures, open_runner)
    _Halving(typed.graph, frozenset(too_large)).run()
    return Half(typed, too_large)


def _results(graph: ir.Graph) -> Iterator[ir.Value]:
    return (value for node in graph for value in node.outputs if value.name)


def _too_large(
    model: ir.Model,
    tensors: list[str],
    pictures: PictureSource,
    open_runner: OpenRunner,
) -> dict[str, float]:
    peaks: dict[str, float] = {}
    with open_runner(serialized(with_outputs(model, tensors))) as runner:
        for outputs in infer_batches(runner, pictures):
            for name in tensors:
                if outputs[name].size:
                    peak = float(np.abs(outputs[name]).max())
                    peaks[name] = max(peaks.get(name, 0.0), peak)
    return {name: peak for name, peak in peaks.items() if not peak <= LARGEST}


class _Halving:
    """Walks a graph once, in the order of computing.

    keep: names of tensors that stay float32, with what computes and reads them.
    """

    def __init__(self, graph: ir.Graph, keep: frozenset[str]) -> None:
        self.graph, self.keep = graph, keep
        self.as_other: dict[ir.Value, ir.Value] = {}  # the same tensor in the other type

    def run(self) -> None:
        for node in list(self.graph):
            self._visit(node)
        for output in list(self.graph.outputs):
            if output.dtype == ir.DataType.FLOAT16:
                self._give_as_float(output)
        drop_unused_weights(self.graph)

    def _visit(self, node: ir.Node) -> None:
        wanted = ir.DataType.FLOAT if self._stays_float(node) else ir.DataType.FLOAT16
        for place, value in enumerate(node.inputs):
            if value is not None and value.dtype in _FLOATS and value.dtype != wanted:
                node.replace_input_with(place, self._in_other_type(value, node))
        if wanted == ir.DataType.FLOAT16:
            for value in node.outputs:
                if value.dtype == ir.DataType.FLOAT:
                    value.dtype = wanted

    def _stays_float(self, node: ir.Node) -> bool:
        """The custom ops, a Cast to float32, and what takes or gives a tensor that is too large."""
        if node.domain == _CUSTOM_DOMAIN or _turns_into_float(node):
            return True
        return any(value is not None and value.name in self.keep for value in _tensors(node))

    def _in_other_type(self, value: ir.Value, reader: ir.Node) -> ir.Value:
        """A Cast before the first reader; of a weight, the weight in that type."""
        if value not in self.as_other:
            other = ir.DataType.FLOAT16 if value.dtype == ir.DataType.FLOAT else ir.DataType.FLOAT
            name = f"{value.name}.{'half' if other == ir.DataType.FLOAT16 else 'float'}"
            if value.is_initializer():
                self.as_other[value] = add_weight(
                    self.graph, name, weight_values(value).astype(other.numpy())
                )
            else:
                self.as_other[value] = self._cast(value, name, other, reader)
        return self.as_other[value]

    def _cast(
        self, value: ir.Value, name: str, dtype: ir.DataType, before: ir.Node | None
    ) -> ir.Value:
        result = ir.Value(name=name, shape=value.shape, type=ir.TensorType(dtype))
        node = ir.node("Cast", [value], {"to": dtype}, outputs=[result], name=name)
        if before is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(before, node)
        return result

    def _give_as_float(self, output: ir.Value) -> None:
        """An output of the model stays float32: its float16 form goes by another name."""
        name = str(output.name)
        output.name = f"{name}.inner"
        places = [place for place, value in enumerate(self.graph.outputs) if value is output]
        given = self._cast(output, name, ir.DataType.FLOAT, None)
        for place in places:
            self.graph.outputs[place] = given


_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


def _tensors(node: ir.Node) -> tuple[ir.Value | None, ...]:
    return (*node.inputs, *node.outputs)


def _turns_into_float(node: ir.Node) -> bool:
    """A Cast to float32 (of the uint8 picture): it gives what it says."""
    return node.op_type == "Cast" and node.attributes.get_int("to") == ir.DataType.FLOAT

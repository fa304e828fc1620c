"""put_preprocessing: f(x) becomes f(image * a + b), and its output logits [B, classes].

``image`` is uint8 RGB [B, H, W, 3]; a and b are what normalisation multiplies by and adds, and
the axes and colours get the order that the model wants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgevit.zoo.interface.tensors import IMAGE_INPUT, LOGITS
from edgevit.zoo.normalisation import Normalisation
from edgevit_export.convert.graph import add_weight
from edgevit_export.importing.model_input import ModelInput

_MODULE = "preprocessing"
_TO_PLANES = (0, 3, 1, 2)


@dataclass(frozen=True)
class PutPreprocessing:
    """The pass. normalisation: None for a model that takes uint8 and normalises itself.

    bgr: whether the model wants blue first. classes: numbers that it answers with.
    """

    input: ModelInput
    normalisation: Normalisation | None
    bgr: bool
    classes: int

    def __call__(self, model: ir.Model) -> bool:
        """Rewrites in place, always; the graph has one output."""
        graph = model.graph
        (old,) = (value for value in graph.inputs if value.name == self.input.name)
        _free_names(graph)
        batch: int | str = "batch" if self.input.batch is None else self.input.batch
        size = self.input.size_px
        image = ir.Value(
            name=IMAGE_INPUT,
            shape=ir.Shape((batch, size, size, 3)),
            type=ir.TensorType(ir.DataType.UINT8),
        )
        nodes, fed = self._nodes(graph, image)
        ir.convenience.replace_all_uses_with(old, fed)
        graph.inputs[:] = [image]
        if nodes:
            graph.insert_before(graph[0], nodes)
        self._flatten(graph, batch)
        RemoveUnusedNodesPass()(model)
        return True

    def _nodes(self, graph: ir.Graph, image: ir.Value) -> tuple[list[ir.Node], ir.Value]:
        """What turns the picture into the model's input, and its result.

        Numbers first, then planes, then colours: runtimes are many times slower at scaling rows
        of three channels, and TensorRT takes uint8 in a Cast only.
        """
        nodes: list[ir.Node] = []
        axis = self.input.channel_axis

        def add(op: str, inputs: list[ir.Value], **attributes: object) -> ir.Value:
            name = f"{_MODULE}/{op}"
            node = ir.node(op, inputs, attributes, num_outputs=1, name=name)  # type: ignore[arg-type]
            node.outputs[0].name = name
            nodes.append(node)
            return node.outputs[0]

        value = image
        if self.normalisation is not None:
            value = add("Cast", [value], to=ir.DataType.FLOAT)
        if self.input.layout == "nchw":
            value = add("Transpose", [value], perm=_TO_PLANES)
        if self.bgr:
            order = add_weight(graph, f"{_MODULE}.order", np.array([2, 1, 0], np.int64))
            value = add("Gather", [value, order], axis=axis)
        if self.normalisation is not None:
            shape = [3 if place == axis else 1 for place in range(1, 4)]
            numbers = {"Mul": self.normalisation.factors, "Add": self.normalisation.shifts}
            for op, of_channels in numbers.items():
                column = np.asarray(of_channels, np.float32).reshape(shape)
                value = add(op, [value, add_weight(graph, f"{_MODULE}.{op.lower()}", column)])
        return nodes, value

    def _flatten(self, graph: ir.Graph, batch: int | str) -> None:
        """The output as [B, classes], whatever axes of one it has."""
        (old,) = graph.outputs
        rows = batch if isinstance(batch, int) else -1
        shape = add_weight(graph, f"{LOGITS}.shape", np.array([rows, self.classes], np.int64))
        node = ir.node("Reshape", [old, shape], num_outputs=1, name=f"{LOGITS}/Reshape")
        graph.append(node)
        (new,) = node.outputs
        new.name, new.shape = LOGITS, ir.Shape((batch, self.classes))
        new.type = ir.TensorType(ir.DataType.FLOAT)
        graph.outputs[:] = [new]


def _free_names(graph: ir.Graph) -> None:
    """Tensors inside that are called as our input and output are, are called otherwise."""
    made = [value for node in graph for value in node.outputs]
    for value in (*made, *graph.initializers.values(), *graph.inputs):
        if value.name in (IMAGE_INPUT, LOGITS):
            if value.is_initializer():
                graph.initializers.pop(str(value.name))
                value.name = f"{value.name}_inside"
                graph.register_initializer(value)
            else:
                value.name = f"{value.name}_inside"

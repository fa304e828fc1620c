"""Where a model's logits are: its one output, without the softmax or sigmoid behind them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import helper

from edgevit.common.errors import InputError, some_of
from edgevit.inference.answers import softmax
from edgevit.inference.runner import Array

# What turns logits into probabilities, and leaves their order as it is.
_ACTIVATIONS = ("Softmax", "LogSoftmax", "Sigmoid")
_PASSED = ("Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout")
_DTYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.UNDEFINED)
_DETECTIONS = ("box", "bbox", "score", "detection", "num_det", "mask")


@dataclass(frozen=True)
class ModelOutput:
    """The output of a model.

    tensor: what holds the logits inside. activation: the op behind it that is left out, or None.
    """

    name: str
    tensor: str
    activation: str | None

    def activated(self, logits: Array) -> Array:
        """What the model itself gives for logits, float32 [n, classes]."""
        import numpy as np

        if self.activation == "Sigmoid":
            return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), np.float32)
        if self.activation is None:
            return logits
        probabilities = np.stack([softmax(each) for each in logits])
        return np.log(probabilities) if self.activation == "LogSoftmax" else probabilities


def find_output(model: onnx.ModelProto, wanted: str | None) -> ModelOutput:
    """The output that answers with a number for each class.

    Args:
        wanted: its name, for a model with several.

    Raises:
        InputError: there are several, or it does not hold floats.
    """
    outputs = {value.name: value for value in model.graph.output}
    if wanted is not None and wanted not in outputs:
        raise InputError(
            f"--logits got '{wanted}'; the model's outputs are {some_of(list(outputs))}."
        )
    if wanted is None and len(outputs) != 1:
        raise InputError(_several(list(outputs)))
    value = outputs[wanted] if wanted is not None else next(iter(outputs.values()))
    if (kind := value.type.tensor_type.elem_type) not in _DTYPES:
        raise InputError(
            f"The model's output '{value.name}' is {onnx.TensorProto.DataType.Name(kind).lower()}; "
            "expected float32 logits, a number for each class. Export the model without the "
            "argmax or top-k at its end, and in float32."
        )
    activation = _activation(model.graph, value.name)
    if activation is None:
        return ModelOutput(value.name, value.name, None)
    return ModelOutput(value.name, activation.input[0], activation.op_type)


def give_logits(model: onnx.ModelProto, output: ModelOutput) -> onnx.ModelProto:
    """A copy with one output, the logits."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = [value for value in copy.graph.output if value.name == output.tensor]
    kept = kept or [helper.make_tensor_value_info(output.tensor, onnx.TensorProto.FLOAT, None)]
    del copy.graph.output[:]
    copy.graph.output.extend(kept)
    return copy


def _several(names: list[str]) -> str:
    detects = any(word in name.lower() for name in names for word in _DETECTIONS)
    if detects:
        return (
            f"The model has {len(names)} outputs: {some_of(names)}. It is a detector, and edgevit "
            "runs classifiers: one output, a number for each class."
        )
    return (
        f"The model has {len(names)} outputs: {some_of(names)}; edgevit runs classifiers, which "
        "give a number for each class. If one of these is that, name it: --logits "
        f"{names[0] if names else 'NAME'}"
    )


def _activation(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The softmax or sigmoid at the end, if there is one; only shapes may change behind it."""
    made_by = {result: node for node in graph.node for result in node.output}
    node = made_by.get(name)
    while node is not None and node.op_type in _PASSED:
        node = made_by.get(node.input[0])
    return node if node is not None and node.op_type in _ACTIVATIONS else None

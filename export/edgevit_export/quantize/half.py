"""A typed FP16 graph for GPU targets.

Every float32 tensor becomes float16 but

- what the superpixel ops take and give: they mean float32 on every runtime (bfloat16 and float16
  move cells to other superpixels);
- tensors that reach beyond +-60,000 on real pictures, such as residual streams with outliers:
  float16 ends at 65,504. They and what computes them stay float32.

Casts stand where the two meet. Inputs and outputs keep their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgevit.inference.batches import PictureSource, infer_batches
from edgevit.inference.runner import OpenRunner
from edgevit_export.convert.graph import copy_of, drop_unused_weights, set_items
from edgevit_export.quantize.observe import with_outputs

LARGEST = 60_000.0
_CUSTOM_DOMAIN = "edgevit"


@dataclass(frozen=True)
class Half:
    """model: the FP16 graph. kept_float: tensors that were too large, and how large, by name."""

    model: onnx.ModelProto
    kept_float: Mapping[str, float]


def to_half(model: onnx.ModelProto, pictures: PictureSource, open_runner: OpenRunner) -> Half:
    """Observes every float tensor on pictures, then rewrites."""
    floats = _float_tensors(model)
    too_large = _too_large(model, sorted(floats), pictures, open_runner)
    return Half(_rewritten(model, floats, frozenset(too_large)), too_large)


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Results of nodes that are float32, from shape inference."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    typed = {v.name: v.type.tensor_type.elem_type for v in [*inferred.value_info, *inferred.output]}
    results = {name for node in model.graph.node for name in node.output}
    return {name for name in results if typed.get(name) == TensorProto.FLOAT}


def _too_large(
    model: onnx.ModelProto,
    tensors: list[str],
    pictures: PictureSource,
    open_runner: OpenRunner,
) -> dict[str, float]:
    peaks: dict[str, float] = {}
    probe = with_outputs(model, tensors)
    with open_runner(probe.SerializeToString()) as runner:
        for outputs in infer_batches(runner, pictures):
            for name in tensors:
                if outputs[name].size:
                    peak = float(np.abs(outputs[name]).max())
                    peaks[name] = max(peaks.get(name, 0.0), peak)
    return {name: peak for name, peak in peaks.items() if not peak <= LARGEST}


class _Rewriter:
    """Walks the graph once; knows in which types every tensor is there."""

    def __init__(self, model: onnx.ModelProto, floats: set[str], keep: frozenset[str]) -> None:
        self.model, self.floats, self.keep = model, floats, keep
        self.weights = {w.name: w for w in model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.cast: set[str] = set()
        self.half: set[str] = set()

    def is_float(self, name: str) -> bool:
        weight = self.weights.get(name)
        if weight is not None:
            return bool(weight.data_type == TensorProto.FLOAT)
        return name in self.floats

    def stays_float(self, node: onnx.NodeProto) -> bool:
        """The custom ops, and whatever takes or gives a tensor that is too large."""
        touched = {*node.input, *node.output}
        return node.domain == _CUSTOM_DOMAIN or bool(touched & self.keep)

    def visit(self, node: onnx.NodeProto) -> None:
        wants_half = not self.stays_float(node) and not _turns_into_float(node)
        inputs = [self.as_type(name, wants_half) for name in node.input]
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = inputs
        self.nodes.append(copy)
        if wants_half:
            self.half.update(name for name in node.output if name in self.floats)

    def as_type(self, name: str, half: bool) -> str:
        """The name under which a tensor is there in float16 or float32; casts it if need be."""
        if not name or not self.is_float(name) or (name in self.half) == half:
            return name
        other = f"{name}.{'half' if half else 'float'}"
        if other in self.cast:
            return other
        self.cast.add(other)
        weight = self.weights.get(name)
        if weight is not None:
            value = numpy_helper.to_array(weight)
            self.constants[other] = numpy_helper.from_array(value.astype(np.float16), other)
        else:
            target = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            self.nodes.append(helper.make_node("Cast", [name], [other], to=target))
        return other


def _turns_into_float(node: onnx.NodeProto) -> bool:
    """A Cast to float32 (of the uint8 picture): it gives what it says."""
    return node.op_type == "Cast" and any(
        a.name == "to" and a.i == TensorProto.FLOAT for a in node.attribute
    )


def _rewritten(model: onnx.ModelProto, floats: set[str], keep: frozenset[str]) -> onnx.ModelProto:
    rewriter = _Rewriter(model, floats, keep)
    for node in model.graph.node:
        rewriter.visit(node)
    _rename_half_outputs(rewriter, [output.name for output in model.graph.output])
    result = copy_of(model)
    graph = result.graph
    set_items(graph.node, rewriter.nodes)
    graph.initializer.extend(rewriter.constants.values())
    drop_unused_weights(graph)
    del graph.value_info[:]
    return result


def _rename_half_outputs(rewriter: _Rewriter, outputs: list[str]) -> None:
    """An output of the model stays float32: its float16 form goes by another name."""
    for name in outputs:
        if name not in rewriter.half:
            continue
        inner = f"{name}.inner"
        for node in rewriter.nodes:
            for names in (node.input, node.output):
                for place, found in enumerate(names):
                    if found == name:
                        names[place] = inner
        rewriter.nodes.append(helper.make_node("Cast", [inner], [name], to=TensorProto.FLOAT))

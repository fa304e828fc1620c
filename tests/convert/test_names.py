"""Nodes of an exported model are called after the modules that they come from."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from edgevit.inference.node_names import layer_of, module_of
from edgevit.models.build import build
from edgevit_export.convert.simplify import simplify
from edgevit_export.convert.trace import trace
from edgevit_export.passes.name_by_module import name_by_module, name_new_nodes
from edgevit_export.quantize.precision import layer_precisions
from edgevit_export.quantize.products import find_products
from support import shallow

pytestmark = pytest.mark.early


def named(model: str) -> ir.Model:
    traced = ir.from_proto(trace(build(shallow(model).spec), batch=1))
    assert name_by_module(traced)
    simplified = ir.from_proto(simplify(ir.to_proto(traced)))
    assert name_new_nodes(simplified)
    return simplified


@pytest.mark.parametrize(
    "model",
    [
        "lla_tiny_32",
        pytest.param("vit_tiny_32", marks=pytest.mark.slow),
        pytest.param("lavit_tiny_32", marks=pytest.mark.slow),  # half a minute in torch.onnx
    ],
)
def test_every_node_says_where_it_is_from(model: str) -> None:
    onnx_model = named(model)
    onnx.checker.check_model(ir.to_proto(onnx_model), full_check=True)
    modules = {name for name, _ in build(shallow(model).spec).named_modules()}
    names = [node.name for node in onnx_model.graph]
    assert len(set(names)) == len(names)
    assert {module_of(name) for name in names} - {""} <= modules
    layers = [product.name for product in find_products(onnx_model)]
    assert layers[-1] == "head"
    assert not name_new_nodes(onnx_model), "names that are right stay"


def test_folded_weights_have_the_name_of_their_layer(lla_bundle: Path) -> None:
    precisions = layer_precisions(lla_bundle / "model.onnx")
    assert "tokens.stem.trunk.blocks.1.1" in precisions
    assert "tokens.stem.embed" in precisions
    assert "blocks.2.mlp.0" in precisions


def test_a_node_never_takes_the_name_of_a_weight_or_an_output() -> None:
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Add", ["x", "Add"], ["1"], "a"),
        helper.make_node("Relu", ["1"], ["Relu"], "b"),
    ]
    graph = helper.make_graph(
        nodes,
        "names",
        [value("x", TensorProto.FLOAT, [1])],
        [value("Relu", TensorProto.FLOAT, [1])],
        [helper.make_tensor("Add", TensorProto.FLOAT, [1], [1.0])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    named_anew = ir.from_proto(proto)
    assert name_new_nodes(named_anew)
    model = ir.to_proto(named_anew)
    onnx.checker.check_model(model, full_check=True)
    assert [node.name for node in model.graph.node] == ["Add_2", "Relu_2"]
    assert [output.name for output in model.graph.output] == ["Relu"]


def test_layers_of_products() -> None:
    assert layer_of("blocks.0.output/Gemm") == "blocks.0.output"
    assert (
        layer_of("stages.1.blocks.2.attention/MatMul_2") == "stages.1.blocks.2.attention/MatMul_2"
    )

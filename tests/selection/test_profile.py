"""``edgevit profile``: every node's time, the part it belongs to, and the machine's limit."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from onnx import inliner

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.variant_names import int8_variant
from edgevit.common.errors import CheckFailedError
from edgevit.common.tensorrt_library import find_tensorrt
from edgevit.inference.node_names import GROUPS, UNNAMED, group_of, module_of
from edgevit.inference.runner import LayerTime
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_export.inspect.work import product_work
from edgevit_export.passes.widen_weights import widen_weights
from edgevit_export.quantize.products import find_products
from edgevit_runtimes.backends.onnxruntime_profile import read_profile
from edgevit_runtimes.backends.tensorrt_profile import layer_profiler
from edgevit_runtimes.bench import peak
from edgevit_runtimes.devices.target import this_target
from edgevit_runtimes.selection.profile import layers
from support import Command
from support.compiled_bundles import float_model, with_variant
from support.needs import needs_openvino, needs_tensorrt

pytestmark = pytest.mark.early


def test_onnx_runtime_is_profiled_by_part(edgevit: Command) -> None:
    ended = edgevit("profile", "--variant", "float", "--runs", 3, "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert content["peak"]["float32_gmacs_per_s"] > 0
    (found,) = content["profiles"]
    assert [row["group"] for row in found["groups"]] == list(GROUPS)
    assert sum(row["share"] for row in found["groups"]) == pytest.approx(1, abs=0.01)
    assert all(row["microseconds"] > 0 for row in found["groups"])
    macs = sum(row["macs"] for row in found["groups"])
    assert macs == pytest.approx(Bundle.open(PREBUILT_BUNDLE).manifest.model.macs, rel=0.01)
    by_layer = {layer["name"]: layer for layer in found["layers"]}
    assert by_layer["blocks.1.mlp.0/Gemm"]["group"] == "MLP"
    assert by_layer["blocks.1.query/Gemm"]["group"] == "attention"
    assert by_layer["tokens.stem.embed/Gemm"]["group"] == "embedding"
    convolutions = [layer for layer in found["layers"] if layer["op"] == "Conv"]
    assert {layer["group"] for layer in convolutions} == {"trunk"}
    total = sum(layer["microseconds"] for layer in found["layers"])
    assert sum(found["ops"].values()) == pytest.approx(total, rel=0.01)


def test_the_profile_is_drawn(edgevit: Command, tmp_path: Path) -> None:
    picture = tmp_path / "profile.svg"
    ended = edgevit("profile", "--runs", 2, "--plot", picture)
    assert ended.code == 0, ended.err
    drawn = picture.read_text()
    assert "<svg" in drawn
    assert "<!-- trunk -->" in drawn
    assert "<!-- Conv -->" in drawn
    refused = edgevit("profile", "--runs", 2, "--plot", tmp_path / "profile.txt")
    assert refused.code == 2
    assert "must end in .png, .svg, .pdf" in refused.one_message


# What computes a product, by runtime; weights only, dynamic and fused ones among them.
_PRODUCT_OPS = ("Gemm", "MatMulIntegerToFloat", "FullyConnected", "FullyConnectedQuantizedLegacy")


@pytest.fixture
def quantized_bundle(all_forms: Path) -> Path:
    return all_forms


@pytest.mark.parametrize("variant", ["int8", pytest.param("openvino", marks=needs_openvino)])
def test_quantized_products_keep_the_part_of_their_module(
    variant: str, quantized_bundle: Path, edgevit: Command
) -> None:
    """An INT8 profile once counted all of them as attention: "MLP 2115 % of the limit"."""
    name = int8_variant(this_target() if variant == "int8" else variant)
    options = (*_each("--variant", "float", name), "--runs", 3, "--json")
    ended = edgevit("profile", quantized_bundle, *options)
    assert ended.code == 0, ended.err
    as_float, as_int8 = json.loads(ended.out)["profiles"]
    products = find_products(float_model_of(quantized_bundle))
    by_module = {layer["module"]: layer for layer in as_int8["layers"] if _is_product(layer)}
    for product in products:
        assert by_module[product.name]["group"] == group_of(product.name), product.name
    assert [row["group"] for row in as_int8["groups"]] == list(GROUPS), "none is unnamed"
    macs = [{row["group"]: row["macs"] for row in each["groups"]} for each in (as_float, as_int8)]
    assert macs[0] == macs[1]


def _each(option: str, *values: str) -> list[str]:
    return [part for value in values for part in (option, value)]


def _is_product(layer: dict[str, str]) -> bool:
    return layer["op"].endswith(_PRODUCT_OPS)


def float_model_of(bundle: Path) -> ir.Model:
    model = ir.load(Bundle.open(bundle).variant())
    widen_weights(model)
    return model


def test_every_node_that_quantizing_adds_has_a_name_of_its_own(quantized_bundle: Path) -> None:
    for file in quantized_bundle.glob("model.onnx-int8-*.onnx"):
        nodes = onnx.load(file).graph.node
        added = [n for n in nodes if "Quantize" in n.op_type or n.op_type == "MatMulIntegerToFloat"]
        names = [node.name for node in added]
        assert len(names) > 25, file.name
        assert all(module_of(name) for name in names), file.name
        assert len(set(names)) == len(names), file.name


def test_quantized_products_without_a_name_belong_to_no_part() -> None:
    """Bundles that were quantized before products were named have them."""
    names = ["tokens/Add", "blocks.0.query/Gemm", "MatMulIntegerToFloat_55", "blocks.0/Add_3"]
    ops = ["Add", "Gemm", "MatMulIntegerToFloat", "Add"]
    times = [LayerTime(name, op, 1.0) for name, op in zip(names, ops, strict=True)]
    groups = [layer.group for layer in layers(times, has_superpixels=True)]
    assert groups == ["embedding", "attention", UNNAMED, "attention"]


@pytest.mark.slow
@needs_openvino
def test_openvino_is_profiled_beside_it(tmp_path: Path, edgevit: Command) -> None:
    model = inliner.inline_local_functions(float_model())
    bundle = with_variant(tmp_path, "inlined", model, "openvino")
    ended = edgevit("profile", bundle, "--runs", 3)
    assert ended.code == 0, ended.err
    assert "inlined, openvino float32" in ended.out
    assert "FullyConnected" in ended.out
    content = json.loads(
        edgevit("profile", bundle, "--variant", "inlined", "--runs", 3, "--json").out
    )
    (found,) = content["profiles"]
    assert {row["group"] for row in found["groups"]} == set(GROUPS)


def test_what_cannot_be_profiled_is_said(tmp_path: Path, edgevit: Command) -> None:
    bundle = with_variant(tmp_path, "onnx-int8-tensorrt", float_model(), "tensorrt")
    ended = edgevit("profile", bundle, "--runs", 1)
    assert ended.code == 0, ended.err
    assert "onnx-int8-tensorrt: not profiled here:" in ended.out
    assert edgevit("profile", bundle, "--variant", "onnx-int8-tensorrt").code == 2
    assert "has no variant 'nope'" in edgevit("profile", "--variant", "nope").one_message


@pytest.mark.parametrize(
    ("name", "module", "group"),
    [
        ("blocks.0.mlp.0/Gemm/WithoutBiases", "blocks.0.mlp.0", "MLP"),
        ("stages.1.blocks.2.norm_mlp/LayerNormalization", "stages.1.blocks.2.norm_mlp", "MLP"),
        (
            "stages.1.blocks.2.attention.query/Gemm",
            "stages.1.blocks.2.attention.query",
            "attention",
        ),
        ("stages.2.residual/Conv", "stages.2.residual", "attention"),
        ("keys_and_values.linear/Gemm", "keys_and_values.linear", "attention"),
        ("tokens.stem.embed/Gemm", "tokens.stem.embed", "embedding"),
        ("merges.0/Gemm", "merges.0", "embedding"),
        ("tokens.stem.trunk.blocks.0.1/Conv", "tokens.stem.trunk.blocks.0.1", "trunk"),
        ("norm/LayerNormalization", "norm", "head"),
        ("/MatmulTransposeFusion/_token_11", "", "embedding"),
        ("Gelu_token_1", "", "embedding"),
    ],
)
def test_names_of_runtimes_lead_to_modules(name: str, module: str, group: str) -> None:
    assert module_of(name) == module
    assert group_of(module) == group


def test_fused_nodes_belong_to_what_follows_and_bodies_to_the_superpixels() -> None:
    names = ["Max_361", "tokens/Add", "MVN_450", "blocks.0.query/Gemm", "Gelu_token_1"]
    names += ["blocks.0.mlp.2/Gemm", "logits"]
    times = [LayerTime(name, "Op", 1.0) for name in names]
    with_superpixels = [layer.group for layer in layers(times, has_superpixels=True)]
    expected = ["superpixels", "embedding", "superpixels", "attention", "MLP", "MLP", "head"]
    assert with_superpixels == expected
    without = [layer.group for layer in layers(times, has_superpixels=False)]
    assert without == ["embedding", "embedding", "attention", "attention", "MLP", "MLP", "head"]
    kept = layers([LayerTime("tokens/SuperpixelSlic", "SuperpixelSlic", 1.0)], True)
    assert kept[0].group == "superpixels"


def test_a_recorded_trace_is_read(tmp_path: Path) -> None:
    """As ONNX Runtime 1.31 writes it: medians over inferences, in the order of the first."""

    def event(name: str, op: str, dur: int) -> dict[str, object]:
        return {"cat": "Node", "name": f"{name}_kernel_time", "dur": dur, "args": {"op_name": op}}

    nodes = [event("fused a/Gemm", "FusedGemm", d) for d in (9, 3, 1)]
    others = [event("b/Add", "Add", 2), {"cat": "Session", "name": "model_run", "dur": 20}]
    trace = tmp_path / "trace.json"
    trace.write_text(json.dumps([*nodes, *others]))
    found = read_profile(trace)
    assert found == [LayerTime("a/Gemm", "FusedGemm", 3), LayerTime("b/Add", "Add", 2)]


def test_work_counts_what_half_storage_keeps_as_float16() -> None:
    work = {each.name: each for each in product_work(Bundle.open(PREBUILT_BUNDLE))}
    layer = work["blocks.0.mlp.0/Gemm"]
    assert layer.weights == 192 * 384
    assert layer.macs == 8 * 192 * 384
    assert work["blocks.1/MatMul"].weights == 0


def test_a_limit_is_of_arithmetic_or_of_memory() -> None:
    machine = peak.Peak(threads=1, macs_per_s=1e9, bytes_per_s=1e9)
    assert machine.least_microseconds(macs=2e6, weight_bytes=1e3) == pytest.approx(2000)
    assert machine.least_microseconds(macs=1e3, weight_bytes=3e6) == pytest.approx(3000)


def test_a_peak_that_cannot_be_measured_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak.sys, "executable", "/bin/false")
    with pytest.raises(CheckFailedError, match="Measuring this machine's peak failed"):
        peak.measure_peak(1)


@needs_tensorrt
def test_tensorrt_reports_its_layers_to_a_profiler() -> None:
    """No engine runs here: its reports are made by hand, to TensorRT's own class."""
    trt = find_tensorrt("tensorrt_rtx").module
    profiler = layer_profiler(trt)
    for milliseconds in (0.9, 0.2, 0.1):
        profiler.report_layer_time("blocks.0.mlp.0/Gemm", milliseconds)
    assert isinstance(profiler, trt.IProfiler)
    assert profiler.layer_times() == [LayerTime("blocks.0.mlp.0/Gemm", "TensorRT layer", 200)]

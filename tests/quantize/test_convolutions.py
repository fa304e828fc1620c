"""Convolutions are int8 where the target's form has them, and stay float where it has not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgevit.common.progress import SilentProgress
from edgevit.images import image_io
from edgevit.images.image_folder import ImageFolder
from edgevit.inference.agreement import relative_logit_error
from edgevit.inference.calibration import Pictures
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import ModelEntry
from edgevit.zoo.spec import LlaSpec, SuperpixelSpec
from edgevit.zoo.trunk_spec import Convolution, InvertedResidual, TrunkSpec
from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle
from edgevit_export.quantize.observe import observe_products
from edgevit_export.quantize.precision import layer_precisions
from edgevit_export.quantize.products import find_products
from edgevit_export.quantize.ranges import METHODS
from edgevit_export.quantize.schemes import SCHEMES, quantized
from edgevit_export.quantize.search import answers_of
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

PX = 64
TRUNK = TrunkSpec(
    (
        Convolution(16, stride=2),
        InvertedResidual(24, 48, stride=4, kernel=5),
        InvertedResidual(24, 48),
        InvertedResidual(32, 48, stride=2, fused=True),
    )
)
SPEC = LlaSpec(
    "small",
    48,
    3,
    2,
    image_px=PX,
    classes=5,
    stem="convolution",
    trunk=TRUNK,
    superpixels=SuperpixelSpec((3, 3)),
)
CONVOLUTIONS = 1 + 3 + 3 + 2


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory, photos: list[np.ndarray]) -> ir.Model:
    """Of random weights; BatchNorm folded into its convolution."""
    target = tmp_path_factory.mktemp("small") / "small.edgevit"
    pictures = image_io.batch(photos, Preprocess(PX))
    request = ExportRequest(ModelEntry(SPEC, ""), target, pictures)
    return ir.load(export_bundle(request, OnnxRuntimeRunner, SilentProgress()).variant())


def test_batchnorm_is_folded_at_export(float_model: ir.Model) -> None:
    kinds = [node.op_type for node in float_model.graph]
    assert kinds.count("Conv") == CONVOLUTIONS
    assert "BatchNormalization" not in kinds


def test_products_with_convolutions(float_model: ir.Model) -> None:
    linear, everything = find_products(float_model), find_products(float_model, convolutions=True)
    assert len(everything) == len(linear) + CONVOLUTIONS
    names = [p.name for p in everything if p.convolution is None]
    assert names == [p.name for p in linear]
    first = next(p for p in everything if p.convolution is not None)
    assert first.kernel == (16, 3, 3, 3)
    assert first.weight.shape == (27, 16)
    assert first.rows_of_source == 1 / 4
    assert len({product.name for product in everything}) == len(everything)


@pytest.mark.parametrize("target", ["openvino", "tensorrt", "native"])
def test_they_are_int8_and_answer_alike(
    target: str, float_model: ir.Model, answered: Path, tmp_path: Path
) -> None:
    pictures = Pictures(ImageFolder.open(answered / "train").files[:16], Preprocess(PX))
    observed = observe_products(float_model, pictures, OnnxRuntimeRunner)
    ranges = {name: METHODS["minmax"](seen) for name, seen in observed.items()}
    model = quantized(float_model, SCHEMES[target], ranges)
    onnx.checker.check_model(ir.to_proto(model))
    ir.save(model, tmp_path / "int8.onnx")
    precisions = layer_precisions(tmp_path / "int8.onnx")
    trunk = {name: p for name, p in precisions.items() if "trunk" in name}
    assert trunk
    assert set(trunk.values()) == {"int8"}
    expected, got = (
        answers_of(m, pictures, OnnxRuntimeRunner, SilentProgress())["logits"]
        for m in (float_model, model)
    )
    assert 0 < relative_logit_error(expected, got) < 0.02


def test_one_can_be_kept_in_float(float_model: ir.Model, answered: Path) -> None:
    pictures = Pictures(ImageFolder.open(answered / "train").files[:4], Preprocess(PX))
    observed = observe_products(float_model, pictures, OnnxRuntimeRunner)
    ranges = {name: METHODS["minmax"](seen) for name, seen in observed.items()}
    names = [p.name for p in find_products(float_model, True) if p.convolution is not None]
    kept_float = frozenset(names[1:])
    model = ir.to_proto(quantized(float_model, SCHEMES["tensorrt"], ranges, kept_float))
    types = {w.name: w.data_type for w in model.graph.initializer}
    kept = [n for n in model.graph.node if n.op_type == "Conv" and n.input[1] in types]
    assert len(kept) == CONVOLUTIONS - 1


def test_onnxruntimes_form_leaves_them(float_model: ir.Model, answered: Path) -> None:
    pictures = Pictures(ImageFolder.open(answered / "train").files[:4], Preprocess(PX))
    observed = observe_products(float_model, pictures, OnnxRuntimeRunner)
    ranges = {name: METHODS["minmax"](seen) for name, seen in observed.items()}
    model = ir.to_proto(quantized(float_model, SCHEMES["onnxruntime-x86"], ranges))
    types = {w.name: w.data_type for w in model.graph.initializer}
    convolutions = [n for n in model.graph.node if n.op_type == "Conv"]
    assert len(convolutions) == CONVOLUTIONS
    assert {types[n.input[1]] for n in convolutions} == {onnx.TensorProto.FLOAT}


def test_extremes_of_maps_are_by_channel(float_model: ir.Model, answered: Path) -> None:
    pictures = Pictures(ImageFolder.open(answered / "train").files[:4], Preprocess(PX))
    observed = observe_products(float_model, pictures, OnnxRuntimeRunner)
    first = next(p for p in find_products(float_model, True) if p.convolution is not None)
    seen = observed[first.source]
    assert seen.channel_peak is not None
    assert len(seen.channel_peak) == 3
    assert seen.rows_per_picture == PX**2

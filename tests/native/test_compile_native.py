"""Models of the zoo as native plans: they answer as ONNX Runtime does, in float and in eight bits.

The plans run in tests/support/models/native_interpreter.py, which knows the specification alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from edgevit.bundle.bundle import SUPERPIXEL_FILE
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.models.build import build as build_module
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import MODELS, find
from edgevit.zoo.spec import LavitSpec, StageSpec
from edgevit_export.convert.graph import rewritten
from edgevit_export.convert.simplify import simplify
from edgevit_export.convert.trace import trace
from edgevit_export.native.compile_native import compile_native
from edgevit_export.passes.regroup_gelu import regroup_gelu
from edgevit_export.quantize.products import find_products
from edgevit_export.quantize.schemes import ir
from edgevit_runtimes.backends.open_model import open_model
from support.models.exported_models import exported_model
from support.models.native_interpreter import NativeModel
from support.models.quantized_models import quantized_natively

pytestmark = pytest.mark.early

# One of every family, the smallest; the others are in the slow tests.
_FEW = ("lla_micro", "vit_tiny_32", "mobilenet_v3_small", "lavit_tiny_32")
_TAKEN = [name for name, entry in MODELS.items() if entry.spec.task == "classification"]
ZOO = [
    pytest.param(name, marks=[] if name in _FEW else pytest.mark.slow)
    for name in _TAKEN
    if name != "lla_base_strips"  # as lla_small_strips, four times as large
]

# In the deepest one, roundings add up: one pixel that changes by one moves the logits of the Q/DQ
# model itself, in ONNX Runtime, by 4 %.
STEPS = {"lavit_base": 0.06}


def pictures_for(name: str, photos: list[Image], count: int = 2) -> Image:
    return image_io.batch(photos[:count], Preprocess(find(name).spec.image_px))


def as_written(model: onnx.ModelProto) -> ort.InferenceSession:
    """ONNX Runtime, node by node: its INT8 kernels saturate on processors without VNNI."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options)


def answers(model: onnx.ModelProto, pictures: Image) -> np.ndarray:
    session = as_written(model)
    found = [session.run(["logits"], {"image": picture[None]})[0] for picture in pictures]
    return np.concatenate(found)


def native_answers(model: onnx.ModelProto, pictures: Image) -> np.ndarray:
    native = NativeModel(compile_native(model))
    return np.stack([native.run(picture)[0] for picture in pictures])


@pytest.mark.parametrize("name", ZOO)
def test_a_float_plan_answers_as_the_model(name: str, photos: list[Image]) -> None:
    model, pictures = exported_model(name), pictures_for(name, photos, 1)
    expected = answers(model, pictures)
    got = native_answers(model, pictures)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ZOO)
def test_an_int8_plan_answers_as_its_qdq_model(name: str, photos: list[Image]) -> None:
    model, pictures = exported_model(name), pictures_for(name, photos)
    quantized = quantized_natively(model, pictures)
    expected = answers(quantized, pictures)
    got = native_answers(quantized, pictures)
    # A rounding that goes the other way in one place moves the logits by a part of a step, and
    # classes of untrained models are closer than that.
    step = STEPS.get(name, 0.03) * np.abs(expected).max()
    assert np.abs(got - expected).max() < step
    taken = np.take_along_axis(expected, got.argmax(1)[:, None], 1)[:, 0]
    assert (taken > expected.max(1) - step).all()


def test_a_simulation_computes_what_is_written(photos: list[Image]) -> None:
    """Quantize judges other runtimes by ONNX Runtime: sums must not saturate on this processor."""
    pictures = pictures_for("vit_tiny_32", photos)
    quantized = quantized_natively(exported_model("vit_tiny_32"), pictures)
    expected = answers(quantized, pictures)
    with open_model(quantized.SerializeToString(), "onnxruntime") as runner:
        got = np.concatenate([runner.infer({"image": p[None]})["logits"] for p in pictures])
    # What is fused rounds otherwise, and a rounding may go the other way in one place.
    assert np.abs(got - expected).max() < 0.03 * np.abs(expected).max()


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load(PREBUILT_BUNDLE / "model.onnx")


def test_the_shipped_model_answers_and_finds_its_superpixels(
    shipped: onnx.ModelProto, photo_batch: Image
) -> None:
    np.testing.assert_allclose(
        native_answers(shipped, photo_batch), answers(shipped, photo_batch), atol=1e-4
    )
    maps = ort.InferenceSession(PREBUILT_BUNDLE / SUPERPIXEL_FILE)
    native = NativeModel(compile_native(shipped))
    for picture in photo_batch:
        (expected,) = maps.run(None, {"image": picture[None]})
        np.testing.assert_array_equal(native.run(picture)[1], expected[0])


def test_a_quantized_plan_reads_bytes_wherever_it_can(
    shipped: onnx.ModelProto, photo_batch: Image
) -> None:
    native = NativeModel(compile_native(quantized_natively(shipped, photo_batch)))
    products = [op for op in native.operations if op.kind in ("conv", "depthwise")]
    in_float = [op.name for op in products if op.is_float]
    assert in_float == ["tokens.position/Gemm"], "of two inputs"
    assert len(native.operations) < 65, "one for every layer, and little else"
    assert native.arena_bytes < 320 * 1024


def test_layers_that_are_kept_float_are_computed_in_float(
    shipped: onnx.ModelProto, photo_batch: Image
) -> None:
    names = [product.name for product in find_products(ir.from_proto(shipped), True)]
    kept = frozenset(names[1::3])
    mixed = quantized_natively(shipped, photo_batch, kept)
    np.testing.assert_allclose(
        native_answers(mixed, photo_batch[:2]), answers(mixed, photo_batch[:2]), atol=0.1
    )
    native = NativeModel(compile_native(mixed))
    products = [op for op in native.operations if op.kind in ("conv", "depthwise")]
    assert sum(op.is_float for op in products) >= len(kept) - 1


def test_a_dynamic_batch_is_one_picture(photos: list[Image]) -> None:
    model, pictures = exported_model("vit_tiny_32", None), pictures_for("vit_tiny_32", photos)
    np.testing.assert_allclose(native_answers(model, pictures), answers(model, pictures), atol=1e-4)


def test_the_model_stays_as_it_was(shipped: onnx.ModelProto) -> None:
    before = shipped.SerializeToString()
    compile_native(shipped)
    assert shipped.SerializeToString() == before
    assert Path(PREBUILT_BUNDLE / "model.onnx").read_bytes() is not None


STAGES = (StageSpec(8, 1, 2, 1, patch=2), StageSpec(16, 2, 3, 2))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"residual": "raster"},
        {"residual": "none"},
        {"transform_rank": 3},
        {"stem": "convolution", "local_perception": True},
        {"stages": (StageSpec(8, 2, 1, 0, patch=2), StageSpec(16, 4, 2, 0))},
        {"stages": (StageSpec(8, 2, 1, 0, patch=2, reduction=2), StageSpec(12, 3, 3, 1))},
    ],
    ids=str,
)
def test_every_form_of_lavit_is_taken(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    spec = LavitSpec(**{"name": "tiny", "stages": STAGES, "image_px": 16, "classes": 5} | options)
    model = rewritten(simplify(trace(build_module(spec).eval(), 1)), regroup_gelu)
    pictures = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8).numpy()
    expected = answers(model, pictures)
    np.testing.assert_allclose(
        native_answers(model, pictures), expected, rtol=0, atol=1e-4 * np.abs(expected).max()
    )
    quantized = quantized_natively(model, pictures)
    expected = answers(quantized, pictures)
    assert np.abs(native_answers(quantized, pictures) - expected).max() < 0.03 * np.ptp(expected)

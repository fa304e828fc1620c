"""Real networks of other people: EfficientNet-Lite0, MobileNetV3, plain and transformers' ViTs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

import edgevit as library
from edgevit.bundle.bundle import Bundle
from edgevit.bundle.trust import is_trusted
from edgevit.common.errors import InputError
from edgevit.common.progress import SilentProgress
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.training.imagenet_classes import class_names
from edgevit.workflows.importing.import_model import export_module, import_onnx
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import find
from edgevit_export.convert.weights import load_model
from edgevit_export.quantize.observe import observe_products
from edgevit_export.quantize.products import find_products
from edgevit_export.quantize.search import answers_of
from edgevit_export.quantize.smooth import smoothed
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support import Command
from support.needs import needs_teacher, needs_transformers

pytestmark = pytest.mark.early

EFFICIENTNET_PX = 96  # it takes any size; small pictures are quick


@pytest.fixture(scope="module")
def efficientnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNet-Lite0 with its ImageNet weights, as a plain ONNX file of any batch."""
    from edgevit_export.convert.efficientnet_lite import _network

    file = tmp_path_factory.mktemp("efficientnet") / "lite0.onnx"
    example = (torch.zeros(2, 3, EFFICIENTNET_PX, EFFICIENTNET_PX),)
    batch = ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        _network(), example, file, opset_version=18, dynamic_shapes=batch, external_data=False
    )
    (file.parent / "names.txt").write_text("\n".join(class_names()))
    return file


@pytest.fixture(scope="module")
def lite0(efficientnet: Path) -> Path:
    target = efficientnet.with_name("lite0.edgevit")
    import_onnx(efficientnet, target, classes=class_names(), mean=127.0, std=128.0, scale=1.0)
    return target


@needs_teacher
@pytest.mark.slow  # MobileNetV3 and a ViT go it below
def test_an_efficientnet_goes_the_whole_road(
    lite0: Path, tmp_path: Path, photos: list[Image], edgevit: Command
) -> None:
    """run, eval, quantize, compile, verify, profile, bench and inspect, as a model of the zoo."""
    bundle = Path(shutil.copytree(lite0, tmp_path / "lite0.edgevit"))
    assert is_trusted(Bundle.open(bundle)), "it was made here"
    with library.load(bundle) as model:
        labels = [found.label for found in model(photos)]
    assert len(set(labels)) > 2
    for part, mirrored in (("train", False), ("val", True)):
        for number, (label, photo) in enumerate(zip(labels, photos, strict=True)):
            for repeat in range(3):
                picture = np.roll(photo, 8 * repeat, axis=1)
                folder = tmp_path / part / label
                folder.mkdir(parents=True, exist_ok=True)
                seen = np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)
                image_io.write(folder / f"{number}-{repeat}.png", seen)
    train, val = tmp_path / "train", tmp_path / "val"
    evaluated = json.loads(edgevit("eval", bundle, "--data", train, "--json").out)
    assert evaluated["top1"]["right"] >= 0.6 * evaluated["images"]
    quantizing = ["--images", 8, "--max-drop", 100, "--calibration-method", "minmax"]
    targets = ["--target", "tensorrt"]
    ended = edgevit(
        "quantize", bundle, "--data", train, "--val-data", val, *quantizing, *targets, "--json"
    )
    assert ended.code == 0, ended.err
    kinds = [
        node.op_type for node in onnx.load(bundle / "model.onnx-int8-tensorrt.onnx").graph.node
    ]
    assert kinds.count("DequantizeLinear") > 90, "every convolution is quantized"
    assert json.loads(ended.out)["variants"]["onnx-fp16"]["report"]["drop_points"] == 0
    ended = edgevit("compile", bundle, "--target", "onnxruntime", "--json")
    assert ended.code == 0, ended.err
    ended = edgevit("verify", bundle, "--variant", "onnx-fp16", "--variant", "float")
    assert ended.code == 0, ended.err
    assert "the original, at import" in ended.out
    ended = edgevit("profile", bundle, "--variant", "float", "--runs", 2, "--json")
    (profiled,) = json.loads(ended.out)["profiles"]
    groups = {row["group"]: row for row in profiled["groups"]}
    assert {"preprocessing", "fc", *(f"blocks.{n}" for n in range(16))} <= set(groups)
    assert groups["fc"]["macs"] == 1280 * 1000
    measured = edgevit("bench", bundle, "--samples", 5, "--frames", 2, "--warmup", 1, "--json")
    assert measured.code == 0, measured.err
    assert "lite0" in edgevit("inspect", bundle).out


@needs_teacher
@pytest.mark.slow  # builds EfficientNet; a small model is refused in test_import.py
def test_a_file_of_too_few_names_is_refused_with_both_numbers(
    efficientnet: Path, tmp_path: Path, edgevit: Command
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(class_names()[:999]))
    ended = edgevit("import", efficientnet, "--classes", names, "-o", tmp_path / "x.edgevit")
    assert ended.code == 2
    assert "--classes gives 999 classes, but the model answers with 1000" in ended.err
    assert not (tmp_path / "x.edgevit").exists()


@pytest.mark.slow
def test_mobilenet_as_anybody_would_export_it(tmp_path: Path, photos: list[Image]) -> None:
    """It takes float pictures with channels last, 0 to 255, and normalises them itself."""
    entry = find("mobilenet_v3_small")
    module = load_model(entry, None, None, None).module.eval()
    file = tmp_path / "mobilenet.onnx"
    torch.onnx.export(module, (torch.zeros(1, 224, 224, 3),), file, external_data=False)
    result = import_onnx(
        file, tmp_path / "m.edgevit", classes=module.spec.classes, mean=0.0, std=1.0, scale=1.0
    )
    assert result.bundle.manifest.inputs[0].shape[0] == 1
    pictures = image_io.batch(photos, Preprocess(224))
    with torch.inference_mode():
        expected = module(torch.from_numpy(pictures)).softmax(1).numpy()
    with library.load(result.bundle.path) as model:
        got = np.stack([found.probabilities for found in model(photos)])
    np.testing.assert_allclose(got, expected, atol=1e-4)
    with library.export("mobilenet_v3_small", tmp_path / "own.edgevit") as own:
        assert own.bundle.manifest.model.macs == result.bundle.manifest.model.macs


class PlainViT(nn.Module):
    """A vision transformer of torch's own layers, with a softmax that somebody left at the end."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 32, 8, 8)
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.1, "gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 6)
        self.double()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = self.encoder(self.patches(image).flatten(2).transpose(1, 2))
        return self.head(seen.mean(1)).softmax(-1)


def test_any_torch_module_can_be_exported(tmp_path: Path, photos: list[Image]) -> None:
    module = PlainViT().float().train()
    model = library.export(
        module,
        tmp_path / "vit.edgevit",
        example=torch.zeros(1, 3, 48, 48),
        classes=list("abcdef"),
        preprocess="inception",
        resize="letterbox",
    )
    assert module.training, "the module stays as it is"
    assert next(module.parameters()).requires_grad
    seen = image_io.batch(photos, Preprocess(48, "letterbox")).astype(np.float32) / 127.5 - 1
    with model, torch.inference_mode():
        expected = module.eval()(torch.from_numpy(seen.transpose(0, 3, 1, 2).copy())).numpy()
        got = np.stack([found.probabilities for found in model(photos)])
        np.testing.assert_allclose(got, expected, atol=1e-4)
        manifest = model.bundle.manifest
    assert manifest.model.name == "plainvit"
    assert len(manifest.parity) == 2
    assert "Softmax" in manifest.model.notes["removed"]
    layers = {node.name for node in onnx.load(model.bundle.variant()).graph.node}
    assert "encoder.layers.1.self_attn/Softmax" in layers
    float_model = ir.load(model.bundle.variant())
    products = find_products(float_model)
    assert len({product.name for product in products}) == len(products) == 9
    pictures = image_io.batch(photos, Preprocess(48))
    observed = observe_products(float_model, pictures, OnnxRuntimeRunner)
    before, after = (
        answers_of(each, pictures, OnnxRuntimeRunner, SilentProgress())["logits"]
        for each in (float_model, smoothed(float_model, observed))
    )
    np.testing.assert_allclose(after, before, atol=1e-4, err_msg="layers share weights")


@needs_transformers
def test_a_vision_transformer_of_transformers(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=96,
        image_size=64,
        num_labels=7,
    )
    result = export_module(
        ViTForImageClassification(config),
        torch.zeros(1, 3, 64, 64),
        tmp_path / "vit.edgevit",
        classes=7,
        preprocess="inception",
        batch=None,
    )
    assert result.bundle.manifest.inputs[0].shape[0] == "batch"
    assert {report["top1_agrees"] for report in result.bundle.manifest.parity.values()} == {8}


class Odd(nn.Module):
    def __init__(self, answer: str) -> None:
        super().__init__()
        self.answer = answer
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, image: torch.Tensor) -> object:
        seen = self.layer(image)
        if self.answer == "pair":
            return seen.mean((2, 3)), seen
        return seen.mean((2, 3)) if float(seen.sum()) > 0 else seen.amax((2, 3))


@pytest.mark.parametrize(
    ("module", "example", "message"),
    [
        (Odd("pair"), torch.zeros(1, 3, 8, 8), "answers with a tuple of 2"),
        (Odd("branch"), torch.zeros(1, 3, 8, 8), "torch cannot trace Odd"),
        (Odd("pair"), torch.zeros(1, 4, 8, 8), "does not take the example"),
        (Odd("pair"), torch.zeros(3, 8, 8), "expected a batch of pictures"),
        (Odd("pair"), "x", "example is a str"),
    ],
)
def test_modules_that_are_no_classifier(
    module: nn.Module, example: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        library.export(module, tmp_path / "x.edgevit", example=example, classes=4)
    assert not list(tmp_path.iterdir())


def test_a_module_without_an_example_is_told_how() -> None:
    with pytest.raises(InputError, match=r"example=torch\.zeros"):
        library.export(Odd("pair"), classes=4)
    with pytest.raises(InputError, match="an example is for a torch module"):
        library.export("lla_tiny", example=torch.zeros(1, 3, 8, 8))

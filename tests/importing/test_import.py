"""Other people's classifiers: imported so that they answer as they did, or refused with the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

import edgevit as library
from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import CheckFailedError, InputError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.workflows.importing.import_model import ImportResult, import_onnx
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import LOGITS
from edgevit_export.quantize.products import find_products
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support.onnx_classifiers import CLASSES, SIZE_PX, save, small_classifier

UINT8 = TensorProto.UINT8
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def imported(model: onnx.ModelProto, folder: Path, **options: object) -> ImportResult:
    return import_onnx(
        save(model, folder), folder / "my.edgevit", **{"classes": CLASSES, **options}
    )


def answers(bundle: Bundle, pictures: Image) -> np.ndarray:
    with OnnxRuntimeRunner(bundle.variant()) as runner:
        size = runner.inputs[0].shape[0]
        step = size if isinstance(size, int) else len(pictures)
        parts = [pictures[i : i + step] for i in range(0, len(pictures), step)]
        return np.concatenate([runner.infer({"image": part})[LOGITS] for part in parts])


def by_hand(
    file: Path, prepare: Callable[[np.ndarray], np.ndarray], pictures: Image, batch: int = 4
) -> np.ndarray:
    """The ONNX file itself, behind preprocessing that is written down here once more."""
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    fed = prepare(pictures)
    parts = [session.run(None, {"x": fed[i : i + batch]})[0] for i in range(0, len(fed), batch)]
    return np.concatenate(parts).reshape(len(pictures), -1)


def imagenet(pictures: np.ndarray) -> np.ndarray:
    mean, std = IMAGENET
    seen = (pictures / 255 - np.array(mean)) / np.array(std)
    return seen.transpose(0, 3, 1, 2).astype(np.float32)


@pytest.fixture(scope="module")
def pictures(photos: list[Image]) -> Image:
    return image_io.batch(photos, Preprocess(SIZE_PX))


def test_the_bundle_is_one_of_ours(tmp_path: Path, pictures: Image) -> None:
    result = imported(small_classifier(), tmp_path, classes=list("abcde"))
    manifest = result.bundle.manifest
    assert [str(spec) for spec in manifest.inputs] == [f"image uint8[batch, {SIZE_PX}, 32, 3]"]
    assert [str(spec) for spec in manifest.outputs] == ["logits float32[batch, 5]"]
    assert manifest.classes == tuple("abcde")
    assert manifest.model.name == "my"
    assert manifest.model.weights == "my.onnx"
    assert manifest.model.parameters == 8 * 3 * 16 + 5 * 8 + 5 + 1
    assert manifest.model.macs == 8 * 3 * 16 * 64 + 5 * 8
    assert manifest.preprocess.mean == pytest.approx(IMAGENET[0])
    assert manifest.preprocess.std == pytest.approx(IMAGENET[1])
    model = onnx.load(result.bundle.variant())
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 18}
    assert model.ir_version == 10
    assert [n.op_type for n in model.graph.node if "image" in n.input] == ["Cast"]
    (parity,) = manifest.parity.values()
    assert parity["images"] == parity["top1_agrees"] == 8
    assert parity["max_difference"]["logits"] < 1e-4
    expected = by_hand(tmp_path / "my.onnx", imagenet, pictures)
    np.testing.assert_allclose(answers(result.bundle, pictures), expected, atol=1e-4)
    assert "ImageNet's, because none was given" in " ".join(str(result).split())


KINDS = {
    "nhwc": ({"layout": "nhwc"}, {}, lambda x: imagenet(x).transpose(0, 2, 3, 1)),
    "uint8 nchw": ({"dtype": UINT8}, {}, lambda x: x.transpose(0, 3, 1, 2)),
    "uint8 nhwc": ({"dtype": UINT8, "layout": "nhwc"}, {}, lambda x: x),
    "inception": (
        {},
        {"preprocess": "inception"},
        lambda x: (x / 127.5 - 1).transpose(0, 3, 1, 2).astype(np.float32),
    ),
    "numbers": (
        {},
        {"mean": 127.0, "std": 128.0, "scale": 1.0},
        lambda x: ((x.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2),
    ),
    "bgr": (
        {},
        {"mean": (0.1, 0.2, 0.3), "std": (1, 2, 4), "scale": 1 / 255, "colour": "bgr"},
        lambda x: (
            ((x[..., ::-1] / 255 - np.array([0.1, 0.2, 0.3])) / np.array([1, 2, 4]))
            .transpose(0, 3, 1, 2)
            .astype(np.float32)
        ),
    ),
    "bgr uint8": (
        {"dtype": UINT8},
        {"colour": "bgr"},
        lambda x: x[..., ::-1].transpose(0, 3, 1, 2),
    ),
    "any size": ({"shape": ("N", 3, "h", "w")}, {"size": SIZE_PX}, imagenet),
    "nothing said": (
        {"shape": ("N", "c", "h", "w")},
        {"size": SIZE_PX, "layout": "nchw"},
        imagenet,
    ),
    "batch of one": ({"shape": (1, 3, SIZE_PX, SIZE_PX)}, {}, imagenet),
    "batch of four": ({"shape": (4, 3, SIZE_PX, SIZE_PX)}, {}, imagenet),
    "axes of one": ({"flat": False}, {}, imagenet),
    "opset 7": ({"opset": 7}, {}, imagenet),
    "opset 13": ({"opset": 13}, {}, imagenet),
    "opset 25": ({"opset": 25}, {}, imagenet),
    "a fixed batch": ({}, {"batch": 2}, imagenet),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_input_answers_as_it_did(kind: str, tmp_path: Path, pictures: Image) -> None:
    model, options, prepare = KINDS[kind]
    bundle = imported(small_classifier(**model), tmp_path, **options).bundle
    shape = model.get("shape", ("N",))
    fixed = options.get("batch", shape[0])
    assert bundle.manifest.inputs[0].shape[0] == ("batch" if fixed == "N" else fixed)
    step = shape[0] if isinstance(shape[0], int) else 4
    expected = by_hand(tmp_path / "my.onnx", prepare, pictures, step)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(answers(bundle, pictures), expected, atol=1e-4)
    assert bundle.manifest.preprocess.colour == "RGB"


@pytest.mark.parametrize("end", ["Softmax", "Sigmoid", "LogSoftmax"])
@pytest.mark.parametrize("flat", [True, False])
def test_what_makes_probabilities_of_logits_is_removed(
    end: str, flat: bool, tmp_path: Path, pictures: Image
) -> None:
    ends = [end] if flat else ["Flatten", end]
    bundle = imported(small_classifier(end=ends, flat=flat), tmp_path).bundle
    assert end in bundle.manifest.model.notes["removed"]
    kinds = [node.op_type for node in onnx.load(bundle.variant()).graph.node]
    assert end not in kinds
    save(small_classifier(), tmp_path, "logits.onnx")
    expected = by_hand(tmp_path / "logits.onnx", imagenet, pictures)
    np.testing.assert_allclose(answers(bundle, pictures), expected, atol=1e-4)


def test_a_gelu_of_opset_20_becomes_what_opset_18_has(tmp_path: Path, pictures: Image) -> None:
    bundle = imported(small_classifier(end=["Gelu"], opset=20), tmp_path).bundle
    kinds = [node.op_type for node in onnx.load(bundle.variant()).graph.node]
    assert "Erf" in kinds
    assert "Gelu" not in kinds
    expected = by_hand(tmp_path / "my.onnx", imagenet, pictures)
    np.testing.assert_allclose(answers(bundle, pictures), expected, atol=1e-4)


def test_a_body_that_reads_an_attribute_gets_its_default(tmp_path: Path, pictures: Image) -> None:
    bundle = imported(small_classifier(end=["Swish"], opset=24), tmp_path).bundle
    expected = by_hand(tmp_path / "my.onnx", imagenet, pictures)
    np.testing.assert_allclose(answers(bundle, pictures), expected, atol=1e-4)


def test_one_output_of_several_can_be_named(tmp_path: Path, pictures: Image) -> None:
    model = small_classifier(extra_outputs=["features"])
    with pytest.raises(InputError, match=r"2 outputs: y, features; .*name it: 'logits' y"):
        imported(model, tmp_path)
    bundle = imported(model, tmp_path, logits="y").bundle
    assert [output.name for output in bundle.manifest.outputs] == ["logits"]
    with pytest.raises(InputError, match="'logits' got 'z'; the model's outputs are y, features"):
        imported(model, tmp_path, logits="z", force=True)


def test_a_batch_that_is_only_called_dynamic_is_one(tmp_path: Path) -> None:
    model = small_classifier(flat=False)
    (last,) = (node for node in model.graph.node if node.output[0] == "y")
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, CLASSES])
    model.graph.initializer.append(shape)
    last.op_type = "Reshape"
    last.input.append("shape")
    bundle = imported(model, tmp_path).bundle
    assert bundle.manifest.inputs[0].shape[0] == 1
    assert "cannot take 2" in bundle.manifest.model.notes["batch"]


def test_tensors_may_be_called_as_ours_are(tmp_path: Path, pictures: Image) -> None:
    model = small_classifier()
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = {"features": "image", "mean": "logits"}.get(name, name)
    bundle = imported(model, tmp_path).bundle
    expected = by_hand(tmp_path / "my.onnx", imagenet, pictures)
    np.testing.assert_allclose(answers(bundle, pictures), expected, atol=1e-4)


def test_weights_in_a_file_beside_it(tmp_path: Path) -> None:
    model = small_classifier()
    onnx.save(
        model,
        tmp_path / "my.onnx",
        save_as_external_data=True,
        location="my.weights",
        size_threshold=0,
    )
    target = tmp_path / "my.edgevit"
    assert import_onnx(tmp_path / "my.onnx", target, classes=CLASSES).bundle.manifest
    (tmp_path / "my.weights").unlink()
    with pytest.raises(InputError, match=r"weights in my\.weights, which is not beside it"):
        import_onnx(tmp_path / "my.onnx", target, classes=CLASSES, force=True)


def test_weights_of_an_old_file_are_inputs_too(tmp_path: Path) -> None:
    model = small_classifier(opset=8)
    model.ir_version = 3
    model.graph.input.extend(
        helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in model.graph.initializer
    )
    bundle = imported(model, tmp_path).bundle
    assert [spec.name for spec in bundle.manifest.inputs] == ["image"]


def body_of_a_function() -> onnx.ModelProto:
    model = small_classifier(extra_nodes=[helper.make_node("Twice", ["y"], ["z"], domain="mine")])
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], body, opsets))
    model.graph.output[0].name = "z"
    return model


def test_functions_with_a_body_are_inlined(tmp_path: Path, pictures: Image) -> None:
    bundle = imported(body_of_a_function(), tmp_path).bundle
    expected = by_hand(tmp_path / "my.onnx", imagenet, pictures)
    np.testing.assert_allclose(answers(bundle, pictures), expected, atol=1e-4)


def foreign(domain: str) -> onnx.ModelProto:
    node = helper.make_node("Fused", ["y"], ["z"], domain=domain)
    model = small_classifier(extra_nodes=[node])
    model.graph.output[0].name = "z"
    return model


BOXES = [helper.make_node("Identity", ["features"], ["boxes"])]
REFUSED = {
    "two inputs": (small_classifier(extra_inputs=["state"]), {}, "2 inputs: x float32.*, state"),
    "any size": (small_classifier(shape=("N", 3, "h", "w")), {}, "such as 'size' 224"),
    "another size": (small_classifier(), {"size": 64}, "'size' got 64, but .* of 32 pixels only"),
    "not square": (small_classifier(shape=(1, 3, 32, 64)), {}, "expected square pictures"),
    "one channel": (small_classifier(shape=(1, 1, 32, 32)), {}, "expected three channels"),
    "no layout": (
        small_classifier(shape=("N", "c", "h", "w")),
        {"size": 32},
        "Give 'layout' nchw or 'layout' nhwc",
    ),
    "wrong layout": (small_classifier(), {"layout": "nhwc"}, "has 32 channels there"),
    "rank": (small_classifier(shape=(3, 32, 32)), {}, "expected pictures"),
    "float16": (small_classifier(dtype=TensorProto.FLOAT16), {}, "Export it in float32"),
    "int64": (small_classifier(dtype=TensorProto.INT64), {}, "expected float32 or uint8"),
    "uint8 with a mean": (
        small_classifier(dtype=UINT8),
        {"mean": 0.5},
        "normalises them itself. Leave out 'mean'",
    ),
    "999 names": (small_classifier(classes=6), {"classes": 5}, "5 classes, but .* 6 numbers"),
    "no names": (small_classifier(), {"classes": None}, "knows 5 classes; name them: 'classes'"),
    "a detector": (
        small_classifier(extra_nodes=BOXES, extra_outputs=["boxes"]),
        {},
        "2 outputs: y, boxes. It is a detector",
    ),
    "a map": (small_classifier(extra_outputs=["features"]), {"logits": "features"}, "a detector"),
    "one class": (small_classifier(classes=1), {"classes": 1}, "one number for each"),
    "a custom op": (foreign("com.example"), {}, r"no body in the file: com\.example\.Fused\."),
    "an optimised file": (foreign("com.microsoft"), {}, "rewritten by ONNX Runtime's optimiser"),
    "another batch": (
        small_classifier(shape=(4, 3, 32, 32)),
        {"batch": 2},
        "'batch' got 2, but the model takes 4",
    ),
    "an op of no opset": (small_classifier(end=["Foo"]), {}, "can be used .*OpType: Foo"),
    "an opset to come": (small_classifier(opset=99), {}, r"opset 99; the module onnx .* knows"),
    "argmax": (
        small_classifier(end=["ArgMax"]),
        {},
        "is int64; expected float32 logits",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_imported_says_why(what: str, tmp_path: Path) -> None:
    model, options, message = REFUSED[what]
    if what == "argmax":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(InputError, match=message):
        imported(model, tmp_path, **options)
    assert [file.name for file in tmp_path.iterdir()] == ["my.onnx"], "nothing is left behind"


def test_an_op_that_no_older_opset_has_is_named(tmp_path: Path) -> None:
    model = small_classifier(opset=25)
    (relu,) = (node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type, relu.input[:] = "CumProd", ["conv", "axis"]
    model.graph.initializer.append(helper.make_tensor("axis", TensorProto.INT64, [], [1]))
    model.opset_import[0].version = 26
    with pytest.raises(InputError, match=r"of CumProd exists\. Export it again with opset 18"):
        imported(model, tmp_path)


def test_answers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = small_classifier()
    (bias,) = (w for w in model.graph.initializer if w.name == "head.bias")
    bias.raw_data = np.full(CLASSES, np.nan, np.float32).tobytes()
    with pytest.raises(InputError, match="NaN or infinity"):
        imported(model, tmp_path)


def test_answers_that_look_like_probabilities_are_noted(tmp_path: Path) -> None:
    """A softmax that is written out in other ops is not found."""
    nodes = [
        helper.make_node("Exp", ["y"], ["e"]),
        helper.make_node("ReduceSum", ["e", "axes"], ["sum"], keepdims=1),
        helper.make_node("Div", ["e", "sum"], ["p"]),
    ]
    model = small_classifier(extra_nodes=nodes)
    model.graph.initializer.append(helper.make_tensor("axes", TensorProto.INT64, [1], [1]))
    model.graph.output[0].name = "p"
    bundle = imported(model, tmp_path).bundle
    assert "probabilities already" in bundle.manifest.model.notes["logits"]


def test_a_bundle_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check compares with the file, and not with what was made of it."""
    from edgevit_export.importing import import_pipeline

    def broken(model: onnx.ModelProto) -> onnx.ModelProto:
        for weight in model.graph.initializer:
            if weight.name == "head.bias":
                values = np.frombuffer(weight.raw_data, np.float32) + np.arange(CLASSES)
                weight.raw_data = values.astype(np.float32).tobytes()
        return model

    monkeypatch.setattr(import_pipeline, "simplify", broken)
    with pytest.raises(CheckFailedError, match="Parity failed"):
        imported(small_classifier(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["my.onnx"]


def test_from_python_it_is_ready_for_use(tmp_path: Path, photos: list[Image]) -> None:
    file = save(small_classifier(), tmp_path)
    with library.import_onnx(file, tmp_path / "m.edgevit", classes=list("abcde")) as model:
        found = model(photos[0])
        assert found.label in "abcde"
        assert found.superpixels is None
        assert model.verify(count=2).holds
    with pytest.raises(library.BundleError, match="ONNX model, not a bundle; import it with"):
        library.load(file)


def test_a_model_of_convolutions_alone_is_quantized_where_these_are(tmp_path: Path) -> None:
    model = ir.load(imported(small_classifier(), tmp_path).bundle.variant())
    assert len(find_products(model, convolutions=True)) == 2
    with pytest.raises(InputError, match=r"only convolutions.*'target' tensorrt"):
        find_products(model)


def test_resizing_is_kept_and_obeyed(tmp_path: Path, photos: list[Image]) -> None:
    options = {"resize": "crop", "crop_pct": 0.5}
    bundle = imported(small_classifier(), tmp_path, **options).bundle
    assert json.loads((bundle.path / "manifest.json").read_text())["preprocess"]["crop_pct"] == 0.5
    seen = image_io.resize(photos[2], Preprocess(SIZE_PX, "crop", crop_pct=0.5))
    (expected,) = by_hand(tmp_path / "my.onnx", imagenet, seen[None])
    with library.load(bundle.path) as model:
        found = model(photos[2]).probabilities
    odds = np.exp(expected - expected.max())
    np.testing.assert_allclose(found, odds / odds.sum(), atol=1e-4)

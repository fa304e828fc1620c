"""``edgevit verify``: what agrees passes, what does not is named, down to the tensor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import inliner, numpy_helper

from edgevit.bundle.bundle import Bundle, Manifest, variant_file
from edgevit.bundle.edit import seal
from edgevit.bundle.trust import trust
from edgevit.common.installation.install_command import install_command
from edgevit.zoo import PREBUILT_BUNDLE
from support import Command
from support.compiled_bundles import float_model, with_variant
from support.fuzzing.small_bundle import put_file
from support.needs import needs_openvino
from support.zoo import float_copy

pytestmark = pytest.mark.early


def scaled(model: onnx.ModelProto, weight: str, by: float) -> onnx.ModelProto:
    """A model of which one weight is wrong."""
    tensor = next(w for w in model.graph.initializer if w.name.startswith(weight))
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array((values * by).astype(values.dtype), tensor.name))
    return model


def test_a_good_bundle_passes_on_real_pictures(photo_folder: Path, edgevit: Command) -> None:
    options = ("--variant", "float", "--images", photo_folder, "--count", 3)
    ended = edgevit("verify", *options, "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert content["holds"]
    at_export, here = content["comparisons"]
    assert (at_export["images"], here["images"]) == (8, 3)
    assert at_export["top1_agrees"] == at_export["superpixels_same"] == 8
    assert 0 < at_export["max_difference"] < 1e-4


@needs_openvino
def test_openvino_agrees_down_to_the_superpixels(tmp_path: Path, edgevit: Command) -> None:
    bundle = with_variant(
        tmp_path, "inlined", inliner.inline_local_functions(float_model()), "openvino"
    )
    ended = edgevit("verify", bundle, "--json")
    assert ended.code == 0, ended.err
    found = {row["variant"]: row for row in json.loads(ended.out)["comparisons"]}
    assert found["inlined"]["superpixels_same"] == 8
    assert found["inlined"]["max_difference"] < 1e-4


@pytest.mark.slow
def test_a_wrong_weight_fails_and_its_layer_is_found(tmp_path: Path, edgevit: Command) -> None:
    wrong = scaled(float_model(), "module.blocks.2.mlp.0.weight", -3)
    bundle = with_variant(tmp_path, "wrong", wrong)
    ended = edgevit("verify", bundle, "--bisect", "--json")
    assert ended.code == 1
    assert ended.one_message == "error: Verification failed for wrong."
    content = json.loads(ended.out)
    assert not content["holds"]
    failed = next(row for row in content["comparisons"] if row["variant"] == "wrong")
    assert "the top class agrees on" in failed["failures"][0]
    assert failed["superpixels_same"] == 8
    compared = content["tensors"]["wrong"]
    differing = [each["tensor"] for each in compared if each["differs"]]
    assert differing[0] == "blocks.2.mlp.0/Gemm"
    assert [each["parted"] for each in compared] == [each["differs"] for each in compared]
    assert not any(each["differs"] for each in content["tensors"]["float"])


@pytest.mark.slow
def test_the_first_layer_that_differs_is_in_the_heading(tmp_path: Path, edgevit: Command) -> None:
    wrong = scaled(float_model(), "module.blocks.2.mlp.0.weight", -3)
    bundle = with_variant(tmp_path, "wrong", wrong)
    table = edgevit("verify", bundle, "--bisect", "--variant", "wrong")
    assert "wrong against float: differs first at blocks.2.mlp.0/Gemm" in table.out


def test_other_superpixels_fail(tmp_path: Path, edgevit: Command) -> None:
    model = float_model()
    slic = next(f for f in model.functions if f.name == "SuperpixelSlic")
    relaxation = next(n for n in slic.node if n.output[0] == "relaxation_by")
    relaxation.attribute[0].t.CopyFrom(numpy_helper.from_array(np.float32(1.5), "by"))
    ended = edgevit("verify", with_variant(tmp_path, "other", model), "--variant", "other")
    assert ended.code == 1
    assert "superpixels differ on" in " ".join(ended.out.split())


def test_nan_never_passes(tmp_path: Path, edgevit: Command) -> None:
    wrong = scaled(float_model(), "module.head.weight", np.nan)
    ended = edgevit("verify", with_variant(tmp_path, "nan", wrong), "--json")
    assert ended.code == 1
    row = next(r for r in json.loads(ended.out)["comparisons"] if r["variant"] == "nan")
    assert row["max_difference"] is None
    assert "logits are not finite" in row["failures"]


def test_what_cannot_be_opened_here_is_said(tmp_path: Path, edgevit: Command) -> None:
    bundle = with_variant(tmp_path, "onnx-int8-tensorrt", float_model(), "tensorrt")
    ended = edgevit("verify", bundle)
    assert ended.code == 0, ended.err
    assert "onnx-int8-tensorrt: not verified here:" in ended.out
    asked = edgevit("verify", bundle, "--variant", "onnx-int8-tensorrt")
    assert asked.code == 2
    assert "'onnx-int8-tensorrt' could not be verified here" in asked.one_message
    unknown = edgevit("verify", bundle, "--variant", "nope")
    assert "has no variant 'nope'" in unknown.one_message


def test_without_onnx_answers_are_compared_all_the_same(
    monkeypatch: pytest.MonkeyPatch, edgevit: Command
) -> None:
    monkeypatch.setattr("edgevit.common.libraries.find_spec", lambda _: None)
    ended = edgevit("verify")
    assert ended.code == 0, ended.err
    assert install_command("export") in ended.out, "whole, to be pasted"
    refused = edgevit("verify", "--bisect")
    assert refused.code == 2
    assert install_command("export") in refused.one_message


def test_options_that_do_not_fit_are_refused(tmp_path: Path, edgevit: Command) -> None:
    assert "--bisect" in edgevit("verify", "--tolerance", 0.1).one_message
    assert "is not a folder" in edgevit("verify", "--images", tmp_path / "none").one_message
    assert "is not a bundle" in edgevit("verify", tmp_path).one_message


def with_file(folder: Path, name: str, content: bytes) -> Path:
    """The prebuilt bundle with another file in place of its own, and the hash of that; trusted."""
    path = float_copy(folder / "mine.edgevit")
    put_file(path, name, content)
    trust(Bundle.open(path).manifest_sha256)
    return path


@pytest.mark.parametrize("runtime", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def test_a_damaged_variant_fails(tmp_path: Path, runtime: str, edgevit: Command) -> None:
    bundle = with_variant(tmp_path, "broken", float_model(), runtime)
    (bundle / variant_file("broken")).write_bytes(b"garbage")
    seal(bundle, Manifest.from_json((bundle / "manifest.json").read_text(), bundle))
    assert edgevit("trust", bundle).code == 0
    for asked in ([], ["--variant", "broken"]):
        ended = edgevit("verify", bundle, "--json", *asked)
        assert ended.code == 1
        assert "Verification failed for broken" in ended.one_message
        content = json.loads(ended.out)
        assert not content["holds"]
        assert "cannot load" in content["damaged"]["broken"]


def test_a_damaged_float_model_or_reference_is_named(
    tmp_path: Path, photo_folder: Path, edgevit: Command
) -> None:
    model = (PREBUILT_BUNDLE / "model.onnx").read_bytes()
    for place, (name, content) in enumerate(
        [
            ("model.onnx", model[: len(model) // 2]),
            ("model.onnx", (PREBUILT_BUNDLE / "superpixels.onnx").read_bytes()),
            ("reference.npz", b"x"),
            ("reference.npz", (PREBUILT_BUNDLE / "reference.npz").read_bytes()[:1000]),
        ]
    ):
        bundle = with_file(tmp_path / str(place), name, content)
        for pictures in ([], ["--images", photo_folder, "--count", 1]):
            ended = edgevit("verify", bundle, *pictures)
            assert ended.code == 2
            assert str(bundle) in ended.one_message
            assert "pickle" not in ended.one_message

"""OpenVINO runs our files, says what it cannot, and agrees with ONNX Runtime."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import inliner

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import BundleError, InputError, MissingExtraError
from edgevit.common.installation.install_command import install_command
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends import openvino_runner
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from edgevit_runtimes.backends.open_model import open_model
from edgevit_runtimes.backends.openvino_runner import OpenVinoRunner
from support import Command
from support.needs import needs_openvino
from support.zoo import float_copy


@pytest.fixture(scope="module")
def inlined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped float model without local functions."""
    file = tmp_path_factory.mktemp("openvino") / "model.onnx"
    model = onnx.load(Bundle.open(PREBUILT_BUNDLE).variant())
    onnx.save(inliner.inline_local_functions(model), file)
    return file


@needs_openvino
def test_float32_agrees_with_onnx_runtime(inlined: Path) -> None:
    bundle = Bundle.open(PREBUILT_BUNDLE)
    pictures = bundle.reference().images
    with OnnxRuntimeRunner(bundle.variant()) as a, OpenVinoRunner(inlined) as b:
        assert [str(spec) for spec in b.inputs] == [str(spec) for spec in a.inputs]
        assert [spec.name for spec in b.outputs] == [spec.name for spec in a.outputs]
        expected, got = (
            np.concatenate([r.infer({"image": p[None]})["logits"] for p in pictures])
            for r in (a, b)
        )
    assert (expected.argmax(1) == got.argmax(1)).all()
    # The same superpixels; what is left is the order of additions.
    np.testing.assert_allclose(expected, got, atol=1e-4)


@needs_openvino
def test_answers_outlive_the_next_inference(inlined: Path) -> None:
    pictures = Bundle.open(PREBUILT_BUNDLE).reference().images
    with OpenVinoRunner(inlined) as runner:
        first = runner.infer({"image": pictures[:1]})["logits"]
        kept = first.copy()
        runner.infer({"image": pictures[1:2]})
    np.testing.assert_array_equal(first, kept)


@needs_openvino
def test_wrong_pictures_and_broken_files_are_refused(inlined: Path, tmp_path: Path) -> None:
    with OpenVinoRunner(inlined) as runner, pytest.raises(InputError, match="expected image"):
        runner.infer({"image": np.zeros((1, 100, 100, 3), np.uint8)})
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(inlined.read_bytes()[:1000])
    with pytest.raises(BundleError, match=r"OpenVINO cannot load .*broken\.onnx"):
        OpenVinoRunner(broken)
    with pytest.raises(BundleError, match="OpenVINO cannot load"):
        OpenVinoRunner(Bundle.open(PREBUILT_BUNDLE).variant())  # it has local functions


@needs_openvino
@pytest.mark.slow  # a whole quantization
def test_a_quantized_variant_runs_and_is_measured_in_it(
    answered: Path, tmp_path: Path, edgevit: Command
) -> None:
    bundle = float_copy(tmp_path / "mine.edgevit")
    data = ("--data", answered / "train", "--val-data", answered / "val")
    options = (
        "--target",
        "openvino",
        "--calibration-method",
        "mse",
        "--images",
        16,
        "--max-drop",
        100,
    )
    ended = edgevit("quantize", bundle, *data, *options, "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    report = content["variants"]["onnx-int8-openvino"]["report"]
    assert report["accuracy_from"] == "this machine's runtime"
    assert report["speed"]["times_faster"] > 0
    assert content["chosen"] == {}, "it may not be installed elsewhere"
    photo = next((answered / "val").rglob("*.png"))
    ran = edgevit("run", bundle, photo, "--variant", "onnx-int8-openvino", "--json")
    assert json.loads(ran.out)["results"][0]["answers"]


def test_without_openvino_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runner, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("openvino"))):
        OpenVinoRunner(b"")


def test_a_runtime_that_reads_no_onnx_says_so() -> None:
    with pytest.raises(InputError, match="tensorrt runs engines, not ONNX files"):
        open_model(b"", "tensorrt")

"""Models of a bundle that somebody else made are opened in a process with limits first."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec import structs
from onnx import TensorProto, helper, numpy_helper

from edgevit.bundle.bundle import Build, Bundle, Variant
from edgevit.bundle.edit import edit, seal
from edgevit.bundle.trust import is_trusted
from edgevit.workflows.trial import trial_limits, trial_opening
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.tensors import IMAGE_INPUT, LOGITS
from support import Command

Nodes = list[onnx.NodeProto]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PREBUILT_BUNDLE, tmp_path / "own.edgevit"))


@pytest.fixture
def foreign(own: Path) -> Path:
    """As it would come from somebody else: of a manifest that nobody here wrote."""
    return _altered(own)


@pytest.fixture
def no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(bundle: Bundle, variants: object) -> str:
        raise AssertionError(f"{bundle.path} was tried in a child process")

    monkeypatch.setattr(trial_opening, "_failure", fail)


def _altered(path: Path) -> Path:
    file = path / "manifest.json"
    content = json.loads(file.read_text())
    content["created"] = f"{content['created']} elsewhere"
    file.write_text(json.dumps(content))
    return path


# Hostile models -----------------------------------------------------------------------------------


def _endless() -> Nodes:
    """``seed`` goes round a loop without end."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["goes_on_again"]),
            helper.make_node("Add", ["value", "value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, [1, 1]),
        ],
        [
            helper.make_tensor_value_info("goes_on_again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 1]),
        ],
    )
    yes = numpy_helper.from_array(np.array(True))
    return [
        helper.make_node("Constant", [], ["yes"], value=yes),
        helper.make_node("Loop", ["", "yes", "seed"], ["answer"], body=body),
    ]


def _huge() -> Nodes:
    """The sum of 8 GiB of zeros."""
    shape = numpy_helper.from_array(np.array([1, 1 << 31], np.int64))
    return [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Add", ["zeros", "seed"], ["many"]),
        helper.make_node("ReduceMax", ["many"], ["answer"], keepdims=1),
    ]


def _hostile_bundle(path: Path, nodes: Nodes) -> Path:
    """A bundle whose float model takes a picture and makes the logits of what the nodes give."""
    manifest = Bundle.open(path).manifest
    side, classes = manifest.preprocess.size_px, len(manifest.classes)
    one = numpy_helper.from_array(np.array([1, 1], np.int64), "one_by_one")
    ones = numpy_helper.from_array(np.ones((1, classes), np.float32), "ones")
    graph = helper.make_graph(
        [
            helper.make_node("Cast", [IMAGE_INPUT], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=1),
            helper.make_node("Reshape", ["mean", "one_by_one"], ["seed"]),
            *nodes,
            helper.make_node("Mul", ["answer", "ones"], [LOGITS]),
        ],
        "hostile",
        [helper.make_tensor_value_info(IMAGE_INPUT, TensorProto.UINT8, [1, side, side, 3])],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, classes])],
        [one, ones],
    )
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path / "model.onnx")
    seal(path, structs.replace(manifest, created="elsewhere"))
    return path


@pytest.mark.parametrize(
    ("nodes", "seconds", "reason"),
    [
        (_endless, 8, "model.onnx did not open and answer within 8 s"),
        (_huge, 120, "model.onnx failed: "),  # on a busy machine too
    ],
)
def test_a_hostile_model_is_one_clean_line(
    nodes: Callable[[], Nodes],
    seconds: int,
    reason: str,
    own: Path,
    edgevit: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial_limits, "ON_CPU", replace(trial_limits.ON_CPU, seconds=seconds))
    ended = edgevit("verify", _hostile_bundle(own, nodes()))
    assert ended.code == 1
    assert reason in ended.one_message
    assert f"edgevit trust {own}" in ended.one_message


def test_a_model_that_ends_its_process_is_one_clean_line(
    foreign: Path, class_folder: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a fault of a library, whichever it will be: here the child is told to end so."""
    code = 'import os; print(\'{"opening": "model.onnx"}\', flush=True); os.abort()'
    run = subprocess.run

    def crash(command: list[str], **options: object) -> object:
        return run([command[0], "-c", code], **options)  # type: ignore[call-overload]

    for arguments in (
        ("verify", foreign),
        ("profile", foreign),
        ("inspect", foreign, "--layers"),
        ("compile", foreign, "--target", "onnxruntime"),
        ("eval", foreign, "--data", class_folder),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", crash)
            ended = edgevit(*arguments)
        assert ended.code == 1, arguments
        assert "model.onnx ended the process that opened it (SIGABRT)" in ended.err, arguments


# Trust --------------------------------------------------------------------------------------------


def test_a_good_bundle_of_somebody_else_works(foreign: Path, edgevit: Command) -> None:
    content = json.loads((foreign / "manifest.json").read_text())
    content["variants"]["odd \0 name"] = content["variants"]["float"]
    (foreign / "manifest.json").write_text(json.dumps(content))
    ended = edgevit("verify", foreign)
    assert ended.code == 0, ended.err
    assert not is_trusted(Bundle.open(foreign)), "a trial makes no trust"


@pytest.mark.usefixtures("no_trial")
def test_a_bundle_of_ones_own_starts_no_child(
    own: Path, lla_bundle: Path, edgevit: Command
) -> None:
    assert edgevit("inspect", "--layers").code == 0, "the shipped one"
    assert edgevit("inspect", own, "--layers").code == 0, "a copy of it"
    assert edgevit("inspect", lla_bundle, "--layers").code == 0, "exported here"


@pytest.mark.usefixtures("no_trial")
def test_a_bundle_that_was_named_starts_no_child(foreign: Path, edgevit: Command) -> None:
    ended = edgevit("trust", foreign, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["bundle"] == str(foreign)
    assert edgevit("inspect", foreign, "--layers").code == 0
    tried = edgevit("inspect", _altered(foreign), "--layers")
    assert tried.code == 70, "what stands for the child in this test was called"
    assert "AssertionError" in tried.err


def test_trust_follows_an_edit_and_nothing_else(own: Path, tmp_path: Path) -> None:
    with edit(Bundle.open(own)) as draft:
        draft.write("more.txt", lambda file: file.write_text("more"))
    assert is_trusted(draft.bundle)
    with edit(draft.bundle) as draft:
        draft.choose("onnxruntime-arm", "float")
    assert is_trusted(draft.bundle), "the manifest alone was written"
    copy = Path(shutil.copytree(own, tmp_path / "copy.edgevit"))
    assert is_trusted(Bundle.open(copy))
    altered = Bundle.open(_altered(own))
    assert not is_trusted(altered)
    with edit(altered) as draft:
        draft.choose("openvino", "float")
    assert not is_trusted(draft.bundle), "an edit makes no trust"


def test_without_a_home_nothing_is_trusted(
    own: Path, tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    with edit(Bundle.open(own)) as draft:
        draft.choose("openvino", "float")
    assert not is_trusted(draft.bundle)
    assert is_trusted(Bundle.open(PREBUILT_BUNDLE))
    assert "XDG_STATE_HOME=FOLDER" in edgevit("trust", own).one_message
    assert not (tmp_path / "nobody").exists()


def test_what_others_can_write_makes_no_trust(
    foreign: Path, tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert edgevit("trust", foreign).code == 0
    assert is_trusted(Bundle.open(foreign))
    (file,) = (tmp_path / "state" / "edgevit").iterdir()
    file.chmod(file.stat().st_mode | stat.S_IWOTH)
    assert not is_trusted(Bundle.open(foreign))


@pytest.mark.parametrize(
    ("runtime", "provider", "expected"),
    [
        ("onnxruntime", "cpu", trial_limits.ON_CPU),
        ("native", None, trial_limits.ON_CPU),
        ("onnxruntime", "cuda", trial_limits.ON_GPU),
        ("onnxruntime", "tensorrt", trial_limits.ON_GPU),
        ("tensorrt", None, trial_limits.ON_GPU),
    ],
)
def test_a_gpu_has_more_time_and_memory(
    runtime: str, provider: str | None, expected: trial_limits.TrialLimits
) -> None:
    """Opening a model builds an engine there, and CUDA's libraries take their own gigabytes."""
    build = Build("float", "0" * 64, options={"provider": provider} if provider else {})
    variant = Variant("model.x", "float32", "float32", runtime=runtime, build=build)
    assert trial_limits.limits_for(variant) == expected
    assert trial_limits.ON_GPU.seconds > trial_limits.ON_CPU.seconds
    assert trial_limits.ON_GPU.headroom_bytes > trial_limits.ON_CPU.headroom_bytes

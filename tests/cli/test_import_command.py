"""``edgevit import``, and what every other command says of an ONNX file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from support import Command
from support.onnx_classifiers import CLASSES, save, small_classifier


@pytest.fixture
def place(tmp_path: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model, its classes and a picture."""
    save(small_classifier(), tmp_path)
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    (tmp_path / "photo.png").write_bytes((photo_folder / "photo0.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_bundle_of_somebodys_model(place: Path, edgevit: Command) -> None:
    ended = edgevit("import", "my.onnx", "--classes", "names.txt", "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert content["bundle"] == "my.edgevit"
    assert content["classes"] == list("abcde")
    ended = edgevit("run", "my.edgevit", "photo.png", "--json")
    assert ended.code == 0, ended.err
    assert len(json.loads(ended.out)["results"][0]["answers"]) == 3
    verified = edgevit("verify", "my.edgevit")
    assert verified.code == 0
    assert "answers agree" in verified.out
    assert "superpixels" not in verified.out  # the model has none
    assert edgevit("profile", "my.edgevit", "--runs", 2).code == 0
    again = edgevit("import", "my.onnx", "--classes", "names.txt")
    assert again.code == 2
    assert "--force" in again.one_message


def test_all_that_can_be_said_of_the_input(place: Path, edgevit: Command) -> None:
    save(small_classifier(shape=("N", "c", "h", "w")), place, "any.onnx")
    words = ["--classes", "5", "--mean", "103.9,116.8,123.7", "--std", "1", "--scale", "1"]
    words += ["--layout", "nchw", "--colour", "bgr", "--size", "64", "--batch", "1"]
    words += ["--resize", "crop", "--crop-pct", "0.9", "-o", "mine.edgevit", "--json"]
    ended = edgevit("import", "any.onnx", *words)
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    preprocess = content["preprocess"]
    assert preprocess["mean"] == pytest.approx(np.array([123.7, 116.8, 103.9]) / 255)
    assert preprocess["std"] == pytest.approx([1 / 255] * 3)
    said = [preprocess[name] for name in ("resize", "crop_pct", "size_px")]
    assert said == ["crop", 0.9, 64]
    assert content["inputs"][0]["shape"] == [1, 64, 64, 3]


BAD = {
    "a preset and numbers": (["--preprocess", "clip", "--std", "1"], "Give one of them"),
    "an unknown preset": (["--preprocess", "x"], "known are imagenet, inception, clip"),
    "two means": (["--mean", "1,2"], "--mean got 2 numbers; expected three, or one for all"),
    "no number": (["--mean", "a,b,c"], "--mean got 'a'; expected a number such as 0.5"),
    "infinity": (["--mean", "inf"], "expected finite numbers"),
    "a zero": (["--std", "0"], "--std got 0, 0, 0; pixels are divided by it"),
    "a scale of nothing": (["--scale", "1/0"], "--scale got '1/0'"),
    "a negative scale": (["--scale=-1"], "above 0: 1/255 for a model"),
    "a resize": (["--resize", "stretch"], "expected squash, crop, letterbox"),
    "a crop of nothing": (["--resize", "crop", "--crop-pct", "0"], "more than 0 and at most 1"),
    "a crop without": (["--crop-pct", "0.9"], "give --resize crop with it"),
    "a layout": (["--layout", "chwn"], "expected nchw, nhwc"),
    "colours": (["--colour", "grey"], "expected rgb, bgr"),
    "a size": (["--size", "100000"], "expected 1 to 4096"),
}


@pytest.mark.parametrize("what", BAD)
def test_options_that_no_model_can_have(what: str, place: Path, edgevit: Command) -> None:
    words, message = BAD[what]
    ended = edgevit("import", "my.onnx", "--classes", "5", *words)
    assert ended.code == 2
    assert message in ended.one_message
    assert not (place / "my.edgevit").exists()


FILES = {
    "empty": (b"", "is empty"),
    "no model": (b"\x89PNG is no model" * 9, "no ONNX model that can be read"),
    "text": (b"import onnx\n", "no ONNX model"),
}


@pytest.mark.parametrize("what", [*FILES, "cut", "missing", "a folder", "a bundle"])
def test_files_that_are_no_model(what: str, place: Path, edgevit: Command) -> None:
    file = place / "odd.onnx"
    if what in FILES:
        content, message = FILES[what]
        file.write_bytes(content)
    elif what == "cut":
        file.write_bytes((place / "my.onnx").read_bytes()[:-200])
        message = "no ONNX model"
    elif what == "missing":
        message = "is not there"
    else:
        file.mkdir()
        message = "takes an ONNX file"
        if what == "a bundle":
            (file / "manifest.json").write_text("{}")
            message = "is a bundle already"
    ended = edgevit("import", "odd.onnx", "--classes", CLASSES)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (place / "odd.edgevit").exists()


def test_a_damaged_file_is_never_a_traceback(place: Path, edgevit: Command) -> None:
    content = (place / "my.onnx").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(12):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 6):
            damaged[at] = int(rng.integers(256))
        (place / "odd.onnx").write_bytes(damaged)
        ended = edgevit("import", "odd.onnx", "--classes", CLASSES, "--force")
        assert ended.code in (0, 1, 2), ended.err
        assert "Traceback" not in ended.err


COMMANDS = {
    "run": ["run", "my.onnx", "photo.png"],
    "run alone": ["run", "my.onnx"],
    "bench": ["bench", "my.onnx"],
    "eval": ["eval", "my.onnx", "--data", "."],
    "inspect": ["inspect", "my.onnx"],
    "verify": ["verify", "my.onnx"],
    "profile": ["profile", "my.onnx"],
    "trust": ["trust", "my.onnx"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_take_a_bundle_say_what_an_onnx_file_is(
    command: str, place: Path, edgevit: Command
) -> None:
    ended = edgevit(*COMMANDS[command])
    assert ended.code == 2
    assert ended.one_message == (
        "error: my.onnx is an ONNX model, not a bundle; import it with: edgevit import my.onnx "
        "--classes FILE"
    )


@pytest.mark.parametrize(
    "words",
    [["quantize", "my.onnx", "--data", "."], ["compile", "my.onnx", "--target", "onnxruntime"]],
)
def test_commands_that_change_a_bundle_say_it_too(
    words: list[str], place: Path, edgevit: Command
) -> None:
    ended = edgevit(*words)
    assert ended.code == 2
    assert "is an ONNX model, not a bundle; import it with: edgevit import " in ended.one_message


def test_an_onnx_file_is_no_video(place: Path, edgevit: Command) -> None:
    ended = edgevit("run", "photo.png", "my.onnx")
    assert ended.code == 2
    assert "my.onnx is an ONNX model, no picture or video" in ended.one_message


def test_a_bundles_own_model_leads_to_the_bundle(place: Path, edgevit: Command) -> None:
    assert edgevit("import", "my.onnx", "--classes", "5").code == 0
    ended = edgevit("run", "my.edgevit/model.onnx", "photo.png")
    assert ended.code == 2
    assert "is a file of a bundle. Give the bundle: my.edgevit" in ended.one_message


def test_a_uint8_model_needs_nothing_said(place: Path, edgevit: Command) -> None:
    save(small_classifier(dtype=TensorProto.UINT8), place, "bytes.onnx")
    ended = edgevit("import", "bytes.onnx", "--classes", "5", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["model"]["notes"]["normalisation"] == "the model's own"

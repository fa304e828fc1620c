"""A plausible mistake gets a message that leads on: what was meant, and a line that works."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgevit.zoo import PREBUILT_BUNDLE
from support import Command


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run", "For example: 'edgevit run photo.jpg'."),
        ("run --model lla_tiny photo.jpg", "The bundle is named without an option."),
        ("run photo.jpg --unsure-below 50", "expected a number from 0 to 1. 50 % is 0.5."),
        ("run photo.jpg --unsure-below=50%", "got '50%'; expected a number from 0 to 1. 50 % is"),
        ("quantize a.edgevit --data x --max-drop 0.5%", "Leave out the % sign: 0.5."),
        ("bench --samples 0", "got '0'; expected a whole number, at least 1."),
        ("bench --samples x", "got 'x'; expected a whole number, at least 1."),
        ("compile a.edgevit --target onnx", "got 'onnx'; expected one of tensorrt, onnxruntime,"),
        ("compile a.edgevit", "For example: 'edgevit compile mine.edgevit --target auto'."),
        ("train --data x --lr 1", "No such option: --lr. Did you mean --learning-rate?"),
        ("train --data x --batch-size 1", "Did you mean --batch"),
        ("export --precision int8", "No such option: --precision. See"),
        ("export lla_tiny", "did you mean --model lla_tiny?"),
        ("verify a.edgevit photos", "did you mean --images photos?"),
        ("deploy a.edgevit jetson", "did you mean --host jetson?"),
        ("inspect a.edgevit b.edgevit", "For example: 'edgevit inspect'."),
        ("classify photo.jpg", "No such command 'classify'. Did you mean 'run'?"),
        ("bench --compare a b --fail-if-slower 0.05", "Give 5% or 0.05%."),
        ("bench --machine jetson", "with --machine auto"),
    ],
)
def test_of_the_command_line(line: str, message: str, edgevit: Command) -> None:
    ended = edgevit(*line.split())
    assert ended.code == 2
    assert message in ended.one_message


def test_a_picture_in_the_place_of_a_command(tmp_path: Path, edgevit: Command) -> None:
    picture = tmp_path / "my photo.jpg"
    picture.write_bytes(b"")
    assert f"'edgevit run '{picture}''." in edgevit(picture).one_message


@pytest.mark.parametrize("command", [("run",), ("predict", "--output", "answers.parquet")])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("photo.jpg", PREBUILT_BUNDLE), "goes before the pictures: edgevit "),
        ((PREBUILT_BUNDLE, PREBUILT_BUNDLE, "photo.jpg"), "Got two bundles"),
        (("lla_tiny", "photo.jpg"), "with: edgevit export --model lla_tiny;"),
        (("lla_tiny_seg:camvid",), "with: edgevit export --model lla_tiny_seg:camvid;"),
        ((PREBUILT_BUNDLE,), "No images given. Usage: edgevit "),
    ],
)
def test_of_bundle_and_pictures(
    command: tuple[str, ...], words: tuple[object, ...], message: str, edgevit: Command
) -> None:
    ended = edgevit(*command, *words)
    assert ended.code == 2
    assert message in ended.one_message


@pytest.mark.parametrize("bundle", [(), (PREBUILT_BUNDLE,)])
def test_a_source_that_is_longer_than_a_file_name(
    bundle: tuple[Path, ...], edgevit: Command
) -> None:
    pipeline = " ! ".join(["nosuchelement"] * 40)
    ended = edgevit("run", *bundle, pipeline, "--frames", 1, "--quiet")
    assert ended.code == 2
    assert "GStreamer" in ended.one_message


def test_what_is_given_in_the_place_of_a_bundle(tmp_path: Path, edgevit: Command) -> None:
    weights, page = tmp_path / "my weights.safetensors", tmp_path / "result.json"
    for file in (weights, page):
        file.write_text("{}")
    assert f"edgevit export --checkpoint '{weights}'" in edgevit("bench", weights).one_message
    assert f"edgevit export --checkpoint '{weights}'" in edgevit("run", weights, "a.jpg").err
    assert "is not a bundle but a file" in edgevit("verify", page).one_message
    assert "is the name of a model" in edgevit("inspect", "lavit_tiny").one_message


def test_what_is_given_in_the_place_of_an_onnx_file(tmp_path: Path, edgevit: Command) -> None:
    weights, picture = tmp_path / "a.safetensors", tmp_path / "a.png"
    for file in (weights, picture):
        file.write_bytes(b"x")
    assert "is a bundle already" in edgevit("import", PREBUILT_BUNDLE).one_message
    assert f"edgevit export --checkpoint {weights}" in edgevit("import", weights).one_message
    assert f"edgevit run {picture}" in edgevit("import", picture).one_message


def test_what_is_given_in_the_place_of_weights(tmp_path: Path, edgevit: Command) -> None:
    model = tmp_path / "a.onnx"
    model.write_bytes(b"x")
    assert f"edgevit import {model}" in edgevit("export", "--checkpoint", model).one_message
    ended = edgevit("export", "--checkpoint", PREBUILT_BUNDLE)
    assert "is a folder; give a file of weights" in ended.one_message


def test_a_picture_in_the_place_of_a_result(tmp_path: Path, edgevit: Command) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    message = edgevit("report", tmp_path / "photo.jpg").one_message
    assert "is no text file: line 1 holds binary data" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--init", PREBUILT_BUNDLE), "is a folder; give a file of weights"),
        (("--teacher", "resnet"), "is not a bundle"),
        (("--learning-rate", "-1"), "must be above zero"),
    ],
)
def test_a_dry_run_of_a_training_refuses_what_the_training_would(
    options: tuple[object, ...], message: str, class_folder: Path, edgevit: Command
) -> None:
    ended = edgevit("train", "--data", class_folder, *options, "--dry-run", "--quiet")
    assert ended.code == 2
    assert message in ended.one_message


@pytest.mark.parametrize(
    ("others", "task"), [("labels", "segmentation model"), ("annotations", "detector")]
)
def test_masks_or_boxes_given_to_a_classifier(
    others: str, task: str, class_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    for name in ("images", others):
        shutil.copytree(class_folder / "red", tmp_path / name)
    message = edgevit("train", "--data", tmp_path, "--dry-run").one_message
    assert f"holds data for a {task} (the folders images and {others})" in message


def test_train_and_val_given_to_quantize_in_one(
    class_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    for name in ("train", "val"):
        (tmp_path / name).symlink_to(class_folder)
    message = edgevit("quantize", PREBUILT_BUNDLE, "--data", tmp_path, "--dry-run").one_message
    assert f"--data {tmp_path / 'train'} --val-data {tmp_path / 'val'}" in message


def test_a_picture_that_is_not_there_ends_predict_before_anything_is_written(
    tmp_path: Path, edgevit: Command
) -> None:
    output = tmp_path / "answers.parquet"
    ended = edgevit("predict", tmp_path / "nowhere.jpg", "--output", output, "--quiet")
    assert ended.code == 2
    assert "No such image" in ended.one_message
    assert not output.exists()

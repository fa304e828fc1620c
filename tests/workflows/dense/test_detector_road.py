"""A small detector from training to the camera: export, eval, verify, run, other runtimes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.progress import SilentProgress
from edgevit.images.labelled_boxes.box_folder import open_box_folder
from edgevit.inference.dense.detections import Detections
from edgevit.models.build import build
from edgevit.models.dense.detector import LavitDetector
from edgevit.training.dense.detection_recipe import DetectionRecipe
from edgevit.workflows.dense.dense_run import DenseRun
from edgevit.workflows.dense.gate_boxes import gate_boxes
from edgevit.workflows.dense.train_detector import (
    detection_recipe,
    train_detector,
)
from edgevit.workflows.evaluate import evaluate
from edgevit.workflows.export import export
from edgevit.workflows.predict.loaded_model import Model
from edgevit.workflows.quantize import quantize
from edgevit.workflows.sets.predict_set import predict_set
from edgevit.workflows.train import train
from edgevit.workflows.verify import verify
from support import Command, python
from support.made_once import folder_of_the_run, made_once
from support.models.bundle_with_split import bundle_with_split
from support.models.detectors import small_detector
from support.needs import needs_openvino
from support.pictures.boxed_pictures import drawn_objects, write_voc

pytestmark = pytest.mark.early

CLASSES = ("blue", "red")
SIZE = (96, 64)


def rectangles(root: Path, count: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    objects = [drawn_objects(rng, SIZE, int(rng.integers(1, 4))) for _ in range(count - 1)]
    return write_voc(root, [*objects, []], SIZE)


def sure_detector() -> LavitDetector:
    """Random weights whose scores are high enough to be shown."""
    torch.manual_seed(0)
    module = build(small_detector())
    assert isinstance(module, LavitDetector)
    with torch.no_grad():
        module.head.classify.bias.fill_(0.0)
        module.head.classify.weight.mul_(30)
        module.head.sides.weight.mul_(10)
    return module.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(target: Path) -> None:
        for part, count, seed in (("train", 8, 1), ("val", 4, 2)):
            rectangles(target / part, count, seed)

    return made_once(folder_of_the_run(tmp_path_factory) / "rectangles", make)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    def make(target: Path) -> None:
        export(sure_detector(), target / "it.edgevit", classes=CLASSES, parity_count=4)

    made = made_once(folder_of_the_run(tmp_path_factory) / "small_detector", make)
    return Bundle.open(made / "it.edgevit")


def run_of(run: Path, resume: bool = False) -> DenseRun:
    return DenseRun(small_detector(), run, None, None, resume, "cpu", 1)


RECIPE = DetectionRecipe(epochs=2, batch=4)


def test_training_leaves_weights_and_a_log(folder: Path, tmp_path: Path) -> None:
    done = train_detector(run_of(tmp_path), folder, None, RECIPE, SilentProgress())
    assert (done.epochs, done.training_images, done.validation_images) == (2, 8, 4)
    assert done.weights.is_file()
    assert 0 <= done.ap50 <= 1
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(line["train_loss"] > 0 for line in lines)
    with pytest.raises(CheckpointError, match="already holds a run"):
        train_detector(run_of(tmp_path), folder, None, RECIPE, SilentProgress())


def test_pictures_that_were_trained_on_are_known(
    bundle: Bundle, folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    recipe = replace(RECIPE, epochs=1)
    train_detector(run_of(tmp_path / "run"), folder, None, recipe, SilentProgress())
    copy = bundle_with_split(bundle, tmp_path / "run", tmp_path / "copy.edgevit")
    held_out = edgevit("eval", copy, "--data", folder, "--split", "held-out", "--json")
    assert json.loads(held_out.out)["images"] == 4
    assert "trained on" not in held_out.err
    assert "trained on 8 of the 8" in edgevit("eval", copy, "--data", folder / "train").err
    gated = edgevit("quantize", copy, "--data", folder / "val", "--val-data", folder / "train")
    assert "trained on 8 of the 8" in gated.err
    assert gated.code == 2, "four pictures are too few to calibrate"


def test_a_run_of_other_data_is_not_resumed(folder: Path, tmp_path: Path) -> None:
    train_detector(run_of(tmp_path / "run"), folder, None, RECIPE, SilentProgress())
    other = rectangles(tmp_path / "other", 8, 3)
    with pytest.raises(CheckpointError):
        train_detector(
            run_of(tmp_path / "run", resume=True), other, folder / "val", RECIPE, SilentProgress()
        )


def test_validation_pictures_that_are_training_pictures(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="4 of the validation pictures are among the training"):
        train_detector(run_of(tmp_path), folder / "val", folder / "val", RECIPE, SilentProgress())


def test_options_that_a_detector_does_not_have(folder: Path) -> None:
    assert detection_recipe({"epochs": 3, "flip": 0.0}).augmentation.flip == 0.0
    with pytest.raises(InputError, match="has no cutmix_alpha"):
        detection_recipe({"cutmix_alpha": 1.0})
    with pytest.raises(InputError, match="'teacher' is for classifiers"):
        train("lavit_tiny_det", data=folder, teacher="efficientnet_lite0")


def test_the_manifest_says_the_task(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.task == "detection"
    assert [str(output) for output in manifest.outputs] == [
        "boxes float32[1, 20, 4]",
        "scores float32[1, 20]",
        "classes int64[1, 20]",
    ]
    assert manifest.parity["torch against ONNX Runtime"]["agreement"] == 1.0


def test_eval_measures_average_precision(bundle: Bundle, folder: Path) -> None:
    result = evaluate(bundle, folder)
    document = result.to_dict()
    assert document["images"] == 4
    assert {row["class"] for row in document["classes"]} == set(CLASSES)
    assert 0 <= document["ap"] <= document["ap50"] <= 1
    assert "AP50" in str(result)
    with pytest.raises(InputError, match="'confusion'"):
        evaluate(bundle, folder, confusion="x.png")


def test_eval_of_classes_that_the_model_does_not_know(bundle: Bundle, tmp_path: Path) -> None:
    root = rectangles(tmp_path, 3, 0)
    for file in (root / "annotations").iterdir():
        file.write_text(file.read_text().replace("<name>red", "<name>green"))
    with pytest.raises(InputError, match="green"):
        evaluate(bundle, root)


def test_boxes_of_a_picture_are_in_its_own_pixels(bundle: Bundle, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (100, 300, 3)).astype(np.uint8)
    with Model(bundle) as model:
        found = model(picture)
    assert len(found.boxes) == len(found.scores) == len(found.labels) > 0
    assert found.boxes.min() >= 0
    assert (found.boxes.max(axis=0) <= [300, 100, 300, 100]).all()
    assert (np.diff(found.scores) <= 0).all()
    drawn = found.plot(tmp_path / "drawn.png")
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()
    assert (tmp_path / "drawn.png").is_file()
    first = found.to_dict()["objects"][0]
    assert first["label"] in CLASSES
    assert first["box_px"] == pytest.approx(found.boxes[0].tolist(), abs=0.06)


def test_verify_compares_objects(bundle: Bundle) -> None:
    result = verify(bundle)
    (comparison,) = result.verification.comparisons
    assert comparison.agreement.answers_text == "100.00 % of objects"


def test_the_gate_shows_boxes_as_the_input_does(bundle: Bundle, tmp_path: Path) -> None:
    rectangles(tmp_path / "train", 12, 1)
    rectangles(tmp_path / "val", 4, 2)
    calibrating, evaluating, labels = gate_boxes(bundle, tmp_path, tmp_path, 8, 0, SilentProgress())
    assert (len(calibrating), len(evaluating), labels.shape[0]) == (8, 4, 4)
    folder = open_box_folder(tmp_path / "val", SilentProgress(), CLASSES)
    preprocess = bundle.manifest.preprocess
    for labelled, row in zip(folder.pictures, labels, strict=True):
        objects = row[row[:, 5] == 1]
        shown = Detections(objects[:, :4], objects[:, 5], objects[:, 4].astype(np.int64))
        back = shown.in_picture(labelled.height, labelled.width, preprocess)
        assert np.abs(back.boxes - labelled.boxes).max(initial=0) < 0.01
        assert back.labels.tolist() == labelled.labels.tolist()
    with pytest.raises(InputError, match="are in 'data' too"):
        gate_boxes(bundle, tmp_path / "train", tmp_path / "train", 8, 0, SilentProgress())


def test_a_dry_run_counts_and_writes_nothing(
    folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    options = ("--model", "lavit_tiny_det", "--data", folder, "--output", tmp_path / "run")
    planned = edgevit("train", *options, "--batch", "4", "--epochs", "2", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    said = json.loads(planned.out)
    assert (said["training_images"], said["validation_images"]) == ("8", "4")
    assert said["classes"] == str(len(CLASSES))
    assert said["epochs"] == "2, 4 steps of 4 images"
    assert not (tmp_path / "run").exists()
    masks = edgevit("train", *options, "--void", "3", "--dry-run")
    assert masks.code == 2
    assert "for models that give masks" in masks.one_message


@pytest.mark.slow
def test_quantize_gates_on_ap50(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "it.edgevit")
    rectangles(tmp_path / "train", 12, 1)
    rectangles(tmp_path / "val", 6, 2)
    copy = Bundle.open(tmp_path / "it.edgevit")
    result = quantize(
        copy, tmp_path, tmp_path, targets=["openvino"], images=8, method="minmax", max_drop=100.0
    )
    report = result.bundle.manifest.variants["onnx-int8-openvino"].report
    assert report["metric"] == "AP50"
    assert report["images"] == 6


@needs_openvino
def test_openvino_finds_the_same_objects(bundle: Bundle) -> None:
    from edgevit.inference.agreement import compare, variant_limits
    from edgevit.inference.batches import infer_all
    from edgevit_runtimes.backends.open_model import open_model

    reference = bundle.reference()
    with open_model(bundle.variant("float"), "openvino", 1) as runner:
        got = infer_all(runner, reference.images)
    found = compare(reference.outputs, got, variant_limits("float32"))
    assert found.holds, found.failures()


def test_the_native_engine_refuses_by_name(bundle: Bundle) -> None:
    ended = python("-m", "edgevit", "compile", bundle.path, "--target", "native")
    assert ended.code == 2
    assert "The native engine runs classifiers" in ended.err
    assert "detection" in ended.err


def test_a_video_gets_boxes_and_lines(bundle: Bundle, tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    noise = np.random.default_rng(0).integers(0, 255, (3, 120, 160, 3)).astype(np.uint8)
    for frame in noise:
        writer.write(frame)
    writer.release()
    lines, saved = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    ended = python("-m", "edgevit", "run", bundle.path, clip, "--jsonl", lines, "--save", saved)
    assert ended.code == 0, ended.err
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(rows) == 3
    assert rows[0]["objects"]
    left, top, right, bottom = rows[0]["objects"][0]["box_px"]
    assert 0 <= left < right <= 160
    assert 0 <= top < bottom <= 120
    assert saved.stat().st_size > 0


def test_pictures_without_objects_alone_are_nothing_to_learn_from(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "data", [[], [], []], SIZE)
    with pytest.raises(InputError):
        train_detector(run_of(tmp_path / "run"), root, None, RECIPE, SilentProgress())


@pytest.mark.slow
def test_a_detector_learns_rectangles(tmp_path: Path) -> None:
    for part, count, seed in (("train", 64, 1), ("val", 16, 2)):
        rectangles(tmp_path / part, count, seed)
    recipe = DetectionRecipe(epochs=40, batch=8, learning_rate=3e-3, backbone_rate=1.0)
    done = train_detector(run_of(tmp_path / "run"), tmp_path, None, recipe, SilentProgress())
    assert done.ap50 > 0.7


def test_predict_refuses_what_gives_no_classes(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the task of .* is detection"):
        predict_set(bundle, [str(tmp_path)], tmp_path / "answers.parquet")

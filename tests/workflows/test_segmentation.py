"""Segmentation from training to masks: small models of random weights, pictures made here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import edgevit
from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.progress import SilentProgress
from edgevit.images.labelled_masks.mask_folder import MaskFolder
from edgevit.inference.dense.masks import mask_of_runs
from edgevit.models.build import build
from edgevit.models.checkpoint import load_into, read_checkpoint
from edgevit.training.dense.segmentation_loop import (
    SegmentationJob,
    class_weights,
    segmentation_loss,
    train_segmentation,
)
from edgevit.training.dense.segmentation_recipe import SegmentationRecipe
from edgevit.workflows.compile import compile_bundle
from edgevit.workflows.evaluate import evaluate
from edgevit.workflows.export import export
from edgevit.workflows.verify import verify
from edgevit.zoo.dense_spec import LavitSegmenterSpec, LlaSegmenterSpec
from edgevit.zoo.registry import find
from edgevit.zoo.spec import LavitSpec, ModelSpec, StageSpec, SuperpixelSpec
from support import Command
from support.made_once import folder_of_the_run, made_once
from support.models.bundle_with_split import bundle_with_split
from support.pictures.labelled_pictures import COLOURS, write_labelled

pytestmark = pytest.mark.early

STAGES = (
    StageSpec(16, 1, 1, patch=4),
    StageSpec(24, 1, 1),
    StageSpec(32, 2, 2, 1),
    StageSpec(32, 2, 2, 1),
)
LAVIT = LavitSegmenterSpec(
    "small_lavit_seg",
    LavitSpec("small", STAGES, image_px=64, local_perception=True, stem="convolution"),
    image_px=64,
    classes=3,
    width=16,
)
LLA = replace(
    find("lla_tiny_seg").spec,
    name="small_lla_seg",
    image_px=64,
    classes=3,
    depth=1,
    superpixels=SuperpixelSpec(grid=(6, 6)),
)
RECIPE = SegmentationRecipe(epochs=3, batch=4, learning_rate=2e-3, ema_decay=0.8)
NAMES = ("ground", "red", "green")


def job_of(spec: ModelSpec, folder: Path, run: Path, recipe: SegmentationRecipe) -> SegmentationJob:
    training, pixels = MaskFolder.open(folder / "train", 11).checked(3, False, 1, SilentProgress())
    validation = MaskFolder.open(folder / "val", 11)
    return SegmentationJob(
        spec=spec,
        training=training,
        validation=validation,
        classes=NAMES,
        pixels=pixels,
        recipe=recipe,
        run=run,
        threads=1,
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        write_labelled(folder / "train", 16, seed=1, void=11)
        write_labelled(folder / "val", 4, seed=2, void=11)

    return made_once(folder_of_the_run(tmp_path_factory) / "labelled", make)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Bundle:
    """A segmenter that learned to tell the colours of rectangles."""

    def make(folder: Path) -> None:
        trained = train_segmentation(
            job_of(LAVIT, data, folder / "run", replace(RECIPE, epochs=12)), SilentProgress()
        )
        module = build(LAVIT)
        load_into(module, read_checkpoint(trained.weights), "trained")
        export(module, folder / "seg.edgevit", classes=NAMES, parity_count=4)

    return Bundle.open(made_once(folder_of_the_run(tmp_path_factory) / "seg", make) / "seg.edgevit")


def test_a_bundle_says_its_task(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.task == "segmentation"
    assert [str(output) for output in manifest.outputs] == ["mask uint8[1, 64, 64]"]
    assert manifest.parity["torch against ONNX Runtime"]["agreement"] >= 0.999


def test_a_bundle_that_says_no_task_classifies(lla_bundle: Path) -> None:
    assert Bundle.open(lla_bundle).manifest.task == "classification"


def test_masks_are_in_the_pictures_own_pixels(bundle: Bundle, data: Path) -> None:
    file = data / "val" / "images" / "0.png"
    with edgevit.load(bundle.path) as model:
        result = model(str(file))
        assert result.mask.shape == (48, 64)
        labels = MaskFolder.open(data / "val", 11).pair(0)[1]
        counted = labels != 255
        assert (result.mask[counted] == labels[counted]).mean() > 0.8
        assert result.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert not result.unsure, "half of a picture need not be of one class"
        np.testing.assert_array_equal(
            result.where(result.label), result.mask == NAMES.index(result.label)
        )
        with pytest.raises(InputError, match=f"no class 'horse'; it knows {NAMES[0]}"):
            result.where("horse")
        document = result.to_dict()
        np.testing.assert_array_equal(mask_of_runs(document["mask"]), result.mask)
        drawn = result.plot()
        assert drawn.shape == (48, 64, 3)
        assert (drawn != result.picture).any()


def test_frames_of_a_clip_have_masks(bundle: Bundle, clip: Path) -> None:
    with edgevit.load(bundle.path) as model:
        (first, *_) = model.stream(clip, frames=2)
    assert first.mask.shape == first.picture.shape[:2]
    assert json.loads(json.dumps(first.to_dict()))["mask"]["width_px"] == first.picture.shape[1]


def test_pictures_that_were_trained_on_are_known(
    bundle: Bundle, data: Path, tmp_path: Path, edgevit: Command
) -> None:
    copy = bundle_with_split(bundle, bundle.path.parent / "run", tmp_path / "copy.edgevit")
    held_out = edgevit(
        "eval", copy, "--data", data, "--void", "11", "--split", "held-out", "--json"
    )
    assert json.loads(held_out.out)["images"] == 4
    assert "trained on" not in held_out.err
    on_all = edgevit("eval", copy, "--data", data / "train", "--void", "11")
    assert "trained on 16 of the 16" in on_all.err


def test_a_dry_run_counts_and_writes_nothing(data: Path, tmp_path: Path, edgevit: Command) -> None:
    options = ("--model", "lla_tiny_seg", "--data", data, "--output", tmp_path / "run")
    planned = edgevit("train", *options, "--epochs", "3", "--batch", "4", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    said = json.loads(planned.out)
    assert (said["training_images"], said["validation_images"]) == ("16", "4")
    assert said["epochs"] == "3, 12 steps of 4 images"
    assert said["classes"] == "as many as the labels show"
    (tmp_path / "names.txt").write_text("sky\nroad\ncar\n")
    named = edgevit("train", *options, "--classes", tmp_path / "names.txt", "--dry-run", "--json")
    assert json.loads(named.out)["classes"] == "3"
    assert not (tmp_path / "run").exists()
    with_teacher = edgevit("train", *options, "--teacher", "efficientnet_lite0", "--dry-run")
    assert with_teacher.code == 2
    assert "--teacher is for classifiers" in with_teacher.one_message


def test_evaluation_is_miou_without_void(bundle: Bundle, data: Path) -> None:
    found = evaluate(bundle, data, void=11)
    content = found.to_dict()
    assert content["miou"] == pytest.approx(found.miou, abs=1e-5)
    assert content["miou"] > 0.6
    assert content["void_pixels"] == 4 * 2 * 64
    assert [row["class"] for row in content["classes"]] == list(NAMES)
    assert "mIoU" in str(found)
    with pytest.raises(InputError, match="label 11"):
        evaluate(bundle, data)


def test_variants_are_verified_by_their_pixels(bundle: Bundle) -> None:
    found = verify(bundle)
    assert found.holds
    (row,) = found.to_dict()["comparisons"]
    assert row["agreement"] >= 0.999


def test_the_native_engine_refuses_masks_by_name(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="small_lavit_seg is a model for segmentation"):
        compile_bundle(bundle, target="native")


def test_training_goes_on_where_it_stopped(data: Path, tmp_path: Path) -> None:
    whole = train_segmentation(job_of(LLA, data, tmp_path / "whole", RECIPE), SilentProgress())
    assert whole.epochs == 3
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert max(entry["val_miou"] for entry in log) == pytest.approx(whole.miou, abs=1e-5)
    checkpoint = read_checkpoint(whole.weights)
    assert checkpoint.classes == NAMES
    assert (checkpoint.notes or {})["void"] == "11"
    again = train_segmentation(
        job_of(LLA, data, tmp_path / "whole", RECIPE), SilentProgress(), resume=True
    )
    assert again.miou == whole.miou
    with pytest.raises(CheckpointError, match="already holds a run"):
        train_segmentation(job_of(LLA, data, tmp_path / "whole", RECIPE), SilentProgress())


def test_every_superpixel_has_one_class() -> None:
    assert isinstance(LLA, LlaSegmenterSpec)
    module = build(LLA).eval()
    picture = torch.from_numpy(COLOURS[np.random.default_rng(0).integers(0, 3, (1, 64, 64))])
    with torch.inference_mode():
        taps = module.taps(picture)
    cells = taps["mask"][0, ::4, ::4]
    for label in taps["superpixels"][0].unique():
        assert len(cells[taps["superpixels"][0] == label].unique()) == 1


def test_pixels_without_a_label_teach_nothing() -> None:
    module = build(LAVIT).eval()
    pictures = torch.zeros((2, 64, 64, 3), dtype=torch.uint8)
    weights = class_weights(np.array([10, 10, 0]), 1.1)
    assert weights.mean() == pytest.approx(1)
    labels = torch.full((2, 64, 64), 255, dtype=torch.uint8)
    assert float(segmentation_loss(module, pictures, labels, weights)) == 0
    labels[:, :32] = 1
    with_void = segmentation_loss(module, pictures, labels, weights)
    assert torch.isfinite(with_void)
    assert float(with_void) > 0

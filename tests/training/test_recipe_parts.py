"""What a recipe is made of: mixing, a teacher's answers, averaged weights, fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.progress import SilentProgress
from edgevit.images.image_folder import ImageFolder
from edgevit.images.image_io import Image
from edgevit.inference.runner import Array
from edgevit.models.build import build
from edgevit.models.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from edgevit.models.transfer import start_from
from edgevit.training.augmentation.mixing import Mix, mix_batch
from edgevit.training.average import averaged
from edgevit.training.data import Batch
from edgevit.training.losses.objective import loss_of, soft_targets
from edgevit.training.recipe import Recipe
from edgevit.training.state import RunState
from edgevit.training.teacher import Teacher, TeacherAnswers
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.registry import find
from edgevit.zoo.spec import LavitSpec, LlaSpec, StageSpec, VitSpec
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support import Command, write_png

VIT = VitSpec("small_vit", 48, 3, 2, image_px=32, patch_px=8, classes=3)


def pictures(count: int = 6, size: int = 32) -> Image:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_mixed_pictures_and_targets_keep_the_same_share(seed: int) -> None:
    """White pictures with black partners: the mean brightness is the share."""
    shown = np.zeros((4, 32, 32, 3), np.uint8)
    shown[::2] = 255
    mixed, mix = mix_batch(shown, Recipe(mix=1.0), np.random.default_rng(seed))
    own, partner = shown.mean((1, 2, 3)), shown[mix.partner].mean((1, 2, 3))
    expected = mix.share * own + (1 - mix.share) * partner
    np.testing.assert_allclose(mixed.mean((1, 2, 3)), expected, atol=1.0)
    assert mixed.dtype == np.uint8


def test_without_mixing_nothing_is_mixed() -> None:
    shown = pictures()
    mixed, mix = mix_batch(shown, Recipe(mix=0.0), np.random.default_rng(0))
    np.testing.assert_array_equal(mixed, shown)
    assert (mix.share == 1).all()


def test_targets_blend_label_and_teacher_then_mix() -> None:
    labels = np.array([0, 2])
    taught = np.array([[0.1, 0.9, 0.0], [0.0, 0.0, 1.0]], np.float32)
    mix = Mix(np.array([1, 0]), np.array([0.75, 0.75], np.float32))
    recipe = Recipe(label_smoothing=0.3, teacher_weight=0.5)
    batch = Batch(pictures(2), np.arange(2), labels, mix=mix)
    smooth = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    blended = (smooth + taught) / 2
    expected = 0.75 * blended + 0.25 * blended[::-1]
    np.testing.assert_allclose(soft_targets(batch, 3, recipe, taught), expected, rtol=1e-6)
    plain = soft_targets(batch._replace(mix=None), 3, recipe, None)
    np.testing.assert_allclose(plain, smooth, rtol=1e-6)


def test_a_lavits_loss_includes_its_diagonality() -> None:
    torch.manual_seed(0)
    spec = LavitSpec("small", (StageSpec(16, 2, 2, 1),), image_px=16, classes=3)
    module = build(spec)
    for block in module.stages[0].blocks:
        if hasattr(block.attention, "theta"):
            torch.nn.init.normal_(block.attention.theta.change, std=3)
    shown = torch.from_numpy(pictures(4, 16))
    targets = torch.full((4, 3), 1 / 3)
    off, light, heavy = (
        loss_of(module, shown, targets, Recipe(diagonality=form, diagonality_weight=weight)).item()
        for form, weight in (("off", 1.0), ("bounded", 0.01), ("bounded", 0.02))
    )
    assert heavy - off == pytest.approx(2 * (light - off), rel=1e-2)
    assert light > off


def test_the_average_forgets_the_start_and_follows() -> None:
    module = build(VIT)
    average = averaged(module, 0.9)
    with torch.no_grad():
        for step in range(200):
            for parameter in module.parameters():
                parameter.fill_(float(step))
            average.update_parameters(module)
    lag = 199 - next(average.module.parameters()).flatten()[0].item()
    assert lag == pytest.approx(0.9 / 0.1, rel=0.01), "an average of the last 1 / (1 - decay) steps"


def test_an_average_without_decay_is_the_weights() -> None:
    module = build(VIT)
    average = averaged(module, 0.0)
    for _ in range(2):
        with torch.no_grad():
            module.head.weight.add_(1.0)
        average.update_parameters(module)
    assert torch.equal(average.module.head.weight, module.head.weight)


@pytest.fixture
def known_classes(tmp_path: Path, photos: list[Image]) -> ImageFolder:
    """Pictures under names that the shipped model knows."""
    for name in ("espresso", "alp"):
        (tmp_path / name).mkdir()
        for i, photo in enumerate(photos[:3]):
            write_png(tmp_path / name / f"{i}.png", photo)
    return ImageFolder.open(tmp_path)


class _Counting(OnnxRuntimeRunner):
    """The real runtime, and how often it was asked."""

    calls = 0

    def infer(self, feeds: dict[str, Array]) -> dict[str, Array]:
        self.calls += 1
        return super().infer(feeds)


@pytest.fixture
def teacher() -> Teacher:
    bundle = Bundle.open(PREBUILT_BUNDLE)
    return Teacher(_Counting(bundle.variant()), bundle.manifest.classes, "shipped")


def test_a_teacher_answers_every_view_once(
    known_classes: ImageFolder, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = Recipe(teacher_views=2)
    answers = TeacherAnswers(teacher, known_classes, recipe, threads=2)
    first = answers.view(0, SilentProgress()).shares.copy()
    second = answers.view(1, SilentProgress()).shares.copy()
    assert first.shape == (6, 2)
    np.testing.assert_allclose(first.sum(axis=1), 1, rtol=1e-5)
    assert not np.allclose(first, second), "another view is another crop"
    asked = teacher.runner.calls
    again = TeacherAnswers(teacher, known_classes, recipe, threads=1)
    np.testing.assert_array_equal(again.view(0, SilentProgress()).shares, first)
    assert teacher.runner.calls == asked, "kept on disk"
    other = TeacherAnswers(teacher, known_classes, replace(recipe, seed=1), threads=1)
    other.view(0, SilentProgress())
    assert teacher.runner.calls > asked, "another seed is other crops"


def test_a_teacher_answers_for_the_crops_that_are_shown(
    known_classes: ImageFolder, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without disturbance and mixing, the student's batch is what the teacher saw."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = Recipe(batch=6, random_ops=0, erase=0, mix=0, teacher_views=3)
    answers = TeacherAnswers(teacher, known_classes, recipe, threads=2)
    crops = next(answers.loader.crops(recipe, 2, 160))
    shown = next(answers.loader.training(recipe, epoch=5, view=2))
    for picture, index in zip(shown.images, shown.indices, strict=True):
        same = (picture == crops.images[index]).all() or (
            picture[:, ::-1] == crops.images[index]
        ).all()
        assert same, "but for a flip"


def test_a_damaged_answer_is_named(
    known_classes: ImageFolder, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    TeacherAnswers(teacher, known_classes, Recipe(), 1).view(0, SilentProgress())
    (file,) = (tmp_path / "cache").rglob("view_000.logits.npy")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="Delete it"):
        TeacherAnswers(teacher, known_classes, Recipe(), 1).view(0, SilentProgress())


def test_a_teacher_with_other_classes_is_refused(
    class_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    options = ("--data", class_folder, "--output", tmp_path / "run")
    ended = edgevit("train", *options, "--teacher", PREBUILT_BUNDLE)
    assert ended.code == 2
    assert "does not know 2 of the 2 classes: blue, red" in ended.err
    assert not (tmp_path / "run").exists()


def test_distillation_on_the_command_line(
    known_classes: ImageFolder, tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = known_classes.files[0].parents[1]
    run = tmp_path / "run"
    options = ("--model", "lla_tiny_32", "--epochs", 2, "--batch", 4, "--output", run)
    ended = edgevit("train", "--data", data, *options, "--teacher", PREBUILT_BUNDLE)
    assert ended.code == 0, ended.err
    assert (run / "curves.png").stat().st_size > 10_000
    recipe = (read_checkpoint(run / "lla_tiny_32.safetensors").notes or {})["recipe"]
    assert '"teacher": "' in recipe


def test_positions_are_resampled_for_another_size(tmp_path: Path) -> None:
    """A table that is a picture of its own coordinates stays one; CLS is kept."""
    large, small = (build(replace(VIT, image_px=px)) for px in (64, 32))
    ramp = torch.linspace(-1, 1, 4)
    with torch.no_grad():
        small.position[0, 1:, 0] = ramp.repeat_interleave(4)
        small.position[0, 0] = 7.0
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, small, "small", ("a", "b", "c"), {})
    start_from(large, read_checkpoint(path), str(path), SilentProgress())
    rows = large.position[0, 1:, 0].reshape(8, 8)
    assert (rows.diff(dim=0) > 0).all(), "the ramp goes on rising"
    assert torch.equal(large.position[0, 0], torch.full((48,), 7.0))
    torch.testing.assert_close(
        large.blocks[0].output.weight, small.blocks[0].output.weight, atol=1e-3, rtol=1e-2
    )


def test_a_larger_model_starts_with_the_answers_of_the_smaller(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """More readings change nothing; more latents are noisy copies, so nearly nothing."""
    from edgevit.common.progress import PlainProgress

    spec = LlaSpec("small", 48, 3, 4, image_px=64, classes=3, latents=4, layers_per_reading=4)
    small = build(spec)
    pictures = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    for changes, tolerance in (({"layers_per_reading": 2}, 1e-6), ({"latents": 8}, 0.02)):
        large = build(replace(spec, **changes))
        start_from(large, Checkpoint(small.state_dict()), "small", PlainProgress())
        assert "newly initialised" not in capsys.readouterr().err
        torch.testing.assert_close(large(pictures), small(pictures), atol=tolerance, rtol=0)
    assert len({tuple(row.tolist()) for row in large.latents}) == 8, "copies can part"


def test_other_classes_get_a_fresh_head(capsys: pytest.CaptureFixture[str]) -> None:
    from edgevit.common.progress import PlainProgress

    given, module = build(replace(VIT, classes=7)), build(VIT)
    head = module.head.weight.clone()
    start_from(module, Checkpoint(given.state_dict()), "given", PlainProgress())
    assert torch.equal(module.head.weight, head)
    assert torch.equal(module.norm.weight, given.norm.weight)
    assert "newly initialised: head.bias, head.weight" in capsys.readouterr().err


def test_weights_of_another_model_are_no_start() -> None:
    lla = build(LlaSpec("small", 48, 3, 2, classes=3))
    with pytest.raises(CheckpointError, match="does not fit small_vit"):
        start_from(build(VIT), Checkpoint(lla.state_dict()), "lla", SilentProgress())


def test_fine_tuning_on_the_command_line(
    class_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    """From shipped weights, by their name, to two classes; and from their file."""
    weights = find("lla_tiny:imagenette").weights
    options = ("--data", class_folder, "--output", tmp_path / "run", "--epochs", 1, "--batch", 8)
    ended = edgevit("train", *options, "--init", "lla_tiny:imagenette")
    assert ended.code == 0, ended.err
    assert "newly initialised: head.bias, head.weight" in ended.err
    elsewhere = ("--output", tmp_path / "other", "--epochs", 1)
    other = edgevit("train", *options[:2], *elsewhere, "--model", "vit_tiny", "--init", weights)
    assert other.code == 2
    assert "does not fit vit_tiny" in other.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--init", "lla_small"), "ships no weights of lla_small"),
        (
            ("--init", "lla_tiny:cifar"),
            "Those of lla_tiny are: lla_tiny:tiny_imagenet, lla_tiny:imagenette",
        ),
        (("--init", "lla_tinny"), "Did you mean lla_tiny"),
        (("--model", "lla_tiny:imagenette"), "Use --model lla_tiny --init lla_tiny:imagenette"),
    ],
)
def test_weights_that_training_cannot_start_from_are_named(
    class_folder: Path, tmp_path: Path, edgevit: Command, options: tuple[str, str], message: str
) -> None:
    ended = edgevit("train", "--data", class_folder, "--output", tmp_path / "run", *options)
    assert ended.code == 2
    assert message in ended.one_message
    assert not (tmp_path / "run").exists()


def test_another_size_is_another_model(
    class_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    options = ("--data", class_folder, "--output", tmp_path, "--epochs", 1, "--batch", 8)
    ended = edgevit("train", *options, "--model", "lla_tiny_k16", "--image-px", 64)
    assert ended.code == 0, ended.err
    weights = tmp_path / "lla_tiny_k16@64.safetensors"
    exported = edgevit("export", "--checkpoint", weights, "--output", tmp_path / "x.edgevit")
    assert exported.code == 2
    assert "lla_tiny_k16@64" in exported.one_message
    assert "--init" in ended.out
    odd = edgevit("train", *options, "--model", "vit_tiny", "--image-px", 65)
    assert odd.code == 2
    assert "whole number of patches" in odd.err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mix": 1.5}, "mix is a share"),
        ({"teacher_views": 0}, "at least one view"),
        ({"random_strength": -0.1}, "random_strength is a share"),
        ({"warmup_epochs": float("nan")}, "warm-up is 0 epochs or longer"),
    ],
)
def test_an_impossible_recipe_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**changes)


def test_the_last_epochs_are_clean() -> None:
    recipe = Recipe(epochs=40, clean_epochs=8)
    clean = [recipe.in_epoch(e).mix == recipe.in_epoch(e).erase == 0.0 for e in range(40)]
    assert clean == [False] * 32 + [True] * 8
    assert Recipe(epochs=8).in_epoch(5).mix > 0, "never more than a quarter"
    assert Recipe(epochs=2).in_epoch(1).mix > 0


def test_a_run_that_an_earlier_version_began_goes_on(tmp_path: Path) -> None:
    """Its state calls the clean epochs ``calm_epochs``."""
    weights = {"weight": torch.zeros(1)}
    RunState({"calm_epochs": 8}, epoch=3, model=weights, average=weights).save(tmp_path)
    assert RunState.load(tmp_path, {"clean_epochs": 8}).epoch == 3
    with pytest.raises(CheckpointError, match="clean_epochs was 8, now 4"):
        RunState.load(tmp_path, {"clean_epochs": 4})

"""Training learns, stops and goes on exactly, and refuses what it cannot use."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.progress import PlainProgress, SilentProgress
from edgevit.common.storage.files import held
from edgevit.images import image_io
from edgevit.images.image_folder import ImageFolder
from edgevit.models.checkpoint import read_checkpoint
from edgevit.training.augmentation.augment import crop, disturb
from edgevit.training.augmentation.randaugment import OPERATIONS, Operation
from edgevit.training.data import BatchLoader
from edgevit.training.loop import TrainingJob, train
from edgevit.training.recipe import Recipe
from edgevit.training.run_folder import TrainingInterruptedError
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.spec import LlaSpec, ModelSpec, SuperpixelSpec, VitSpec
from support import Command, StopAfter, environment, write_png
from support.processes import full_disk

pytestmark = pytest.mark.early

LLA = LlaSpec(
    "small_lla", 48, 3, 2, image_px=32, patch_px=8, superpixels=SuperpixelSpec((2, 2), cell_px=2)
)
VIT = VitSpec("small_vit", 48, 3, 2, image_px=32, patch_px=8)
RECIPE = Recipe(epochs=3, batch=6, learning_rate=2e-3, warmup_epochs=1, seed=1)


def job(
    class_folder: Path, run: Path, spec: ModelSpec = LLA, recipe: Recipe = RECIPE
) -> TrainingJob:
    folder = ImageFolder.open(class_folder)
    return TrainingJob(spec, folder, folder, recipe, run, threads=2)


@pytest.mark.parametrize("spec", [LLA, VIT], ids=lambda s: s.name)
def test_training_learns_and_leaves_a_log(
    class_folder: Path, tmp_path: Path, spec: ModelSpec
) -> None:
    recipe = replace(RECIPE, epochs=8)
    result = train(job(class_folder, tmp_path, spec, recipe), SilentProgress())
    assert result.top1 == 1.0, "red and blue are easy"
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all(0 < entry["val_loss"] < 20 for entry in log)
    assert [entry["epoch"] for entry in log] == list(range(1, 9))
    assert log[-1]["train_loss"] < log[0]["train_loss"]
    weights = read_checkpoint(result.weights)
    assert weights.model == spec.name
    assert weights.classes == ("blue", "red")


@pytest.mark.parametrize("steps", [1, 3, 4, 7])
def test_a_resumed_run_is_the_uninterrupted_run(
    class_folder: Path, tmp_path: Path, steps: int
) -> None:
    """Bit for bit, wherever it stopped: in the middle of an epoch or between two."""
    whole = train(job(class_folder, tmp_path / "whole"), SilentProgress())
    broken = job(class_folder, tmp_path / "broken")
    with pytest.raises(TrainingInterruptedError, match="'resume'"):
        train(broken, StopAfter(steps))
    resumed = train(broken, SilentProgress(), resume=True)
    a, b = (
        torch.load(tmp_path / run / "last.pt", weights_only=True) for run in ("whole", "broken")
    )
    assert all(torch.equal(a["model"][key], b["model"][key]) for key in a["model"])
    assert resumed.top1 == whole.top1
    logs = [(tmp_path / run / "log.jsonl").read_text().splitlines() for run in ("whole", "broken")]
    losses = [[json.loads(line)["train_loss"] for line in log] for log in logs]
    assert losses[0] == losses[1]


def test_a_resume_of_another_run_is_refused(class_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingInterruptedError):
        train(job(class_folder, tmp_path), StopAfter(2))
    with pytest.raises(CheckpointError, match=r"seed was 1, now 2"):
        train(job(class_folder, tmp_path, recipe=replace(RECIPE, seed=2)), SilentProgress(), True)
    with pytest.raises(CheckpointError, match="model was"):
        train(job(class_folder, tmp_path, VIT), SilentProgress(), True)
    with pytest.raises(CheckpointError, match="already holds a run"):
        train(job(class_folder, tmp_path), SilentProgress())
    other = Path(shutil.copytree(class_folder, tmp_path / "other"))
    write_png(other / "red" / "0.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(CheckpointError, match="training_images was"):
        train(replace(job(other, tmp_path)), SilentProgress(), True)


@pytest.mark.parametrize(
    "damage", ["cut", "text", "empty", "identity", "model", "optimizer", "epoch"]
)
def test_a_damaged_state_is_refused(class_folder: Path, tmp_path: Path, damage: str) -> None:
    with pytest.raises(TrainingInterruptedError):
        train(job(class_folder, tmp_path), StopAfter(2))
    state = tmp_path / "last.pt"
    whole = state.read_bytes()
    if damage in ("cut", "text", "empty"):
        state.write_bytes({"cut": whole[:1000], "text": b"hello", "empty": b""}[damage])
    else:
        content = torch.load(state, weights_only=True)
        torch.save({**content, damage: {"identity": None, "epoch": "x"}.get(damage, {})}, state)
    with pytest.raises(CheckpointError, match="is damaged"):
        train(job(class_folder, tmp_path), SilentProgress(), True)


def test_a_full_disk_leaves_the_last_good_state(class_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingInterruptedError):
        train(job(class_folder, tmp_path), StopAfter(2))
    state = tmp_path / "last.pt"
    before = state.read_bytes()
    with full_disk(len(before) // 2), pytest.raises(InputError, match=r"last\.pt"):
        train(job(class_folder, tmp_path), StopAfter(1), resume=True)
    assert state.read_bytes() == before
    assert train(job(class_folder, tmp_path), SilentProgress(), resume=True).epochs == 3


def test_damaged_images_are_counted_and_named_or_skipped(
    class_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(class_folder, tmp_path / "data"))
    for i in range(7):
        (copy / "red" / f"{i}.png").write_bytes(b"no picture")
    folder = ImageFolder.open(copy)
    with pytest.raises(InputError, match=r"7 of 20 images cannot be decoded: .*red/0\.png.* and 2"):
        folder.readable(False, 2, SilentProgress())
    rest = folder.readable(True, 2, PlainProgress())
    assert len(rest) == 13
    assert "skipped: 7 of 20" in capsys.readouterr().err
    for file in (copy / "red").iterdir():
        file.write_bytes(b"no picture")
    with pytest.raises(InputError, match="No image of these classes can be decoded: red"):
        ImageFolder.open(copy).readable(True, 2, SilentProgress())


def test_curves_and_a_log_cut_back_to_the_state(class_folder: Path, tmp_path: Path) -> None:
    """A run killed between its log and its state does not log an epoch twice."""
    with pytest.raises(TrainingInterruptedError):
        train(job(class_folder, tmp_path), StopAfter(4))
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text() + '{"epoch": 2, "train_loss": 9}\n')
    train(job(class_folder, tmp_path), SilentProgress(), resume=True)
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3]
    assert image_io.read(tmp_path / "curves.png").shape[1] > 500


def test_a_log_without_a_state_is_begun_anew(class_folder: Path, tmp_path: Path) -> None:
    """A disk that was full before the first state was saved."""
    (tmp_path / "log.jsonl").write_text('{"epoch": 1, "train_loss": 9}\n')
    train(job(class_folder, tmp_path), SilentProgress())
    assert [json.loads(line)["epoch"] for line in (tmp_path / "log.jsonl").open()] == [1, 2, 3]


def test_a_test_folder_is_no_class(class_folder: Path, tmp_path: Path, edgevit: Command) -> None:
    """train/ beside test/: the classes are those inside train/."""
    for part in ("train", "test"):
        shutil.copytree(class_folder, tmp_path / "data" / part)
    options = ("--data", tmp_path / "data", "--model", "lla_tiny_32", "--epochs", 1, "--batch", 9)
    ended = edgevit("train", *options, "--output", tmp_path / "run")
    assert ended.code == 0, ended.err
    weights = read_checkpoint(tmp_path / "run" / "lla_tiny_32.safetensors")
    assert weights.classes == ("blue", "red")


def test_two_runs_in_one_folder_and_what_a_killed_one_left(
    class_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / ".last.pt.123.partial").write_bytes(b"half")
    with held(tmp_path), pytest.raises(InputError, match="Another process is at work"):
        train(job(class_folder, tmp_path), SilentProgress())
    assert not (tmp_path / ".last.pt.123.partial").exists()


def test_a_run_that_cannot_start_leaves_no_folder(class_folder: Path, tmp_path: Path) -> None:
    (copy := Path(shutil.copytree(class_folder, tmp_path / "data"))).joinpath(
        "red", "3.png"
    ).write_bytes(b"no picture")
    with pytest.raises(InputError):
        train(job(copy, tmp_path / "run", recipe=replace(RECIPE, batch=20)), SilentProgress())
    assert not (tmp_path / "run").exists()


def test_a_class_of_one_image_cannot_be_held_out(class_folder: Path) -> None:
    folder = ImageFolder.open(class_folder).part(np.arange(11))
    with pytest.raises(InputError, match="'red' has only one image"):
        folder.hold_out(0.1, 0)


def test_nothing_to_resume(class_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Nothing to resume"):
        train(job(class_folder, tmp_path), SilentProgress(), True)


def test_batches_do_not_depend_on_threads_or_the_place_of_the_start(class_folder: Path) -> None:
    folder = ImageFolder.open(class_folder)
    one = list(BatchLoader(folder, Preprocess(32), 6, threads=1).training(RECIPE, epoch=4))
    three = list(BatchLoader(folder, Preprocess(32), 6, threads=3).training(RECIPE, epoch=4))
    late = list(
        BatchLoader(folder, Preprocess(32), 6, threads=2).training(RECIPE, epoch=4, first_step=2)
    )
    for a, b in [*zip(one, three, strict=True), *zip(one[2:], late, strict=True)]:
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)
    other = next(BatchLoader(folder, Preprocess(32), 6, threads=2).training(RECIPE, epoch=5))
    assert not np.array_equal(other.images, one[0].images)


def test_evaluation_sees_every_image_once(class_folder: Path) -> None:
    folder = ImageFolder.open(class_folder)
    labels = np.concatenate(
        [b.labels for b in BatchLoader(folder, Preprocess(32), 6, 2).evaluation()]
    )
    assert labels.tolist() == list(folder.labels)


def test_holding_out_takes_of_every_class(class_folder: Path) -> None:
    rest, held = ImageFolder.open(class_folder).hold_out(0.1, seed=0)
    assert sorted(held.labels) == [0, 1]
    assert not set(rest.files) & set(held.files)
    assert len(rest) + len(held) == 20


def test_augmented_pictures_are_pictures(photos: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    for photo in [*photos, photos[0][:1, :1], photos[0][:3]]:
        view = disturb(crop(photo, 32, RECIPE, rng), RECIPE, rng)
        assert view.shape == (32, 32, 3)
        assert view.dtype == np.uint8


STRENGTHLESS = ("autocontrast", "equalise")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__)
def test_an_operation_without_strength_is_the_identity(
    operation: Operation, photos: list[np.ndarray]
) -> None:
    for strength in (-1.0, -0.3, 0.0, 0.5, 1.0):
        changed = operation(photos[0], strength)
        assert changed.shape == photos[0].shape
        assert changed.dtype == np.uint8
        if operation.__name__ not in STRENGTHLESS:
            same = np.allclose(changed, photos[0], atol=1)
            # Posterise drops bits of a picture's values, and none of them at small strengths.
            assert same or strength != 0.0
            assert not same or strength == 0.0 or operation.__name__ == "posterise"


def test_the_schedule_warms_up_and_falls_to_the_end() -> None:
    recipe = Recipe(epochs=10, warmup_epochs=2)
    rates = [recipe.learning_rate_at(step, 5) for step in range(50)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == pytest.approx(recipe.learning_rate, rel=0.1)
    low = Recipe(epochs=10, learning_rate=1e-6)
    assert max(low.learning_rate_at(step, 5) for step in range(50)) <= 1e-6
    assert rates[-1] == pytest.approx(recipe.final_learning_rate, abs=5e-6)


def test_a_corrupt_image_is_named(class_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(class_folder, tmp_path / "data"))
    (copy / "red" / "3.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"red/3\.png"):
        train(job(copy, tmp_path / "run"), SilentProgress())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "is not a folder"),
        (["--data", "."], "has no class folders"),
        (["--data", "{data}", "--model", "lla"], "Unknown model"),
        (["--data", "{data}", "--learning-rate", "0"], "must be above zero"),
        (["--data", "{data}", "--device", "tpu"], "auto, cpu or cuda"),
        (["--data", "{data}", "--seed", "99999999999999999999"], "--seed"),
        (["--data", "{data}", "--resume"], "Nothing to resume"),
        (["--data", "{data}", "--val-data", "{data}/red"], "has no class folders"),
    ],
)
def test_bad_options(
    arguments: list[str],
    message: str,
    edgevit: Command,
    class_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = edgevit("train", *[a.format(data=class_folder) for a in arguments])
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
def test_ctrl_c_on_the_command_line_saves_and_resume_ends(
    class_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    """The real command, a real signal; then the weights are exported."""
    small = ["--model", "lla_tiny_32", "--epochs", 2, "--batch", 4, "--threads", 1]
    options = ["--data", class_folder, "--output", tmp_path / "run", *small]
    command = [sys.executable, "-m", "edgevit", "train", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as child:
        time.sleep(1)
        deadline = time.monotonic() + 60
        log = tmp_path / "run" / "log.jsonl"
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode in (0, 130), err
    if child.returncode == 130:
        assert "Go on with --resume" in err
        ended = edgevit("train", *options, "--resume")
        assert ended.code == 0, ended.err
    weights = tmp_path / "run" / "lla_tiny_32.safetensors"
    target = tmp_path / "mine.edgevit"
    exported = edgevit(
        "export", "--model", "lla_tiny_32", "--checkpoint", weights, "--output", target, "--json"
    )
    assert exported.code == 0, exported.err
    assert json.loads(exported.out)["classes"] == ["blue", "red"]

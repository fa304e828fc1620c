"""The training that keeps its data on the device, on a CPU and on tiny pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from edgevit.common.errors import CheckpointError, InputError
from edgevit.training.average import averaged, following
from edgevit.training.gpu import run as gpu_run
from edgevit.training.gpu import shards, states
from edgevit.training.gpu.adapted_teacher import SIZE_PX, adapted
from edgevit.training.gpu.batch_augmentation import Augmentation
from edgevit.training.gpu.folded_teacher import FoldedNetwork, accuracy_of, load_teacher
from edgevit.training.gpu.plan import IMAGENETTE, SHIPPED_LAVIT, TINY_IMAGENET, Run, plan
from edgevit.training.gpu.run import GpuRun, Job
from edgevit.training.gpu.shards import Encoding, Pictures, pack, unpack
from edgevit.training.gpu.states import load_parts, save_parts
from edgevit.training.imagenet_classes import NUMBERS
from edgevit.training.recipe import Recipe
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import find
from edgevit.zoo.spec import LavitSpec, LlaSpec, StageSpec, SuperpixelSpec
from edgevit_export.convert.weights import load_model
from support import ROOT, Finished, python
from support.needs import needs_teacher

SCRIPT = ROOT / "benchmarks" / "training" / "train_zoo_gpu.py"
TEN = ("chain_saw", "church", "golf_ball", "parachute", "tench")
PLAIN = Recipe(
    epochs=2,
    batch=4,
    crop_area=(1.0, 1.0),
    crop_aspect=(1.0, 1.0),
    random_ops=0,
    erase=0.0,
    mix=0.0,
)
SPEC = LlaSpec(
    "small", 48, 3, 2, image_px=32, patch_px=8, superpixels=SuperpixelSpec((3, 3), cell_px=2)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with train/ and val/: five classes, each of one colour with noise, PNG of 40 pixels."""
    root = tmp_path_factory.mktemp("set")
    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2)):
        for label, name in enumerate(TEN):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                colour = rng.normal((40 * label, 255 - 40 * label, 128), 12, (40, 40, 3))
                picture = np.clip(colour, 0, 255).astype(np.uint8)
                cv2.imwrite(str(root / part / name / f"{number}.png"), picture)
    return root


@pytest.fixture(scope="module")
def packed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("shards")
    ended = python(SCRIPT, "pack", target, f"{IMAGENETTE}={folder}", "--no-teacher")
    assert ended.code == 0, ended.err
    return target


def job(packed: Path, **changes: object) -> Job:
    run = Run("small", SPEC, IMAGENETTE, replace(PLAIN, **changes), 32)
    training, validation = (unpack(packed, f"{IMAGENETTE}.{p}", 32) for p in ("train", "val"))
    return Job(run, training, validation, "cpu")


def say_nothing(line: str) -> None:
    assert line


def train(*arguments: object) -> Finished:
    return python(SCRIPT, "train", *arguments, "--device", "cpu")


def test_shards_hold_the_pictures(folder: Path, packed: Path) -> None:
    pictures = unpack(packed, f"{IMAGENETTE}.train", 40)
    assert pictures.classes == TEN
    assert pictures.labels.tolist() == [label for label in range(5) for _ in range(4)]
    first = cv2.cvtColor(cv2.imread(str(folder / "train" / TEN[0] / "0.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(pictures.pixels[0], first)


def test_a_set_is_divided_by_size(
    folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 2**16 + 12_000
    monkeypatch.setattr(shards, "SHARD_BYTES", limit)
    written = pack(folder / "train", tmp_path, "x.train")
    assert len(written) > 3
    assert all(shard.stat().st_size <= limit for shard in written)
    divided, whole = unpack(tmp_path, "x.train", 40), unpack(packed, f"{IMAGENETTE}.train", 40)
    np.testing.assert_array_equal(divided.pixels, whole.pixels)
    np.testing.assert_array_equal(divided.labels, whole.labels)


def test_pictures_can_be_stored_smaller(folder: Path, tmp_path: Path) -> None:
    (shard,) = pack(folder / "train", tmp_path, "x.train", Encoding(side_px=20, quality=90))
    small = unpack(tmp_path, "x.train", 20)
    full = cv2.cvtColor(cv2.imread(str(folder / "train" / TEN[0] / "0.png")), cv2.COLOR_BGR2RGB)
    halved = cv2.resize(full, (20, 20), interpolation=cv2.INTER_AREA)
    assert np.abs(small.pixels[0].astype(float) - halved).mean() < 8
    assert shard.stat().st_size < 2**14


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", None])
def test_a_damaged_shard_is_named(packed: Path, tmp_path: Path, content: bytes | None) -> None:
    name = f"{IMAGENETTE}.train.000.npz"
    whole = (packed / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(InputError, match=r"imagenette.train.000.npz is damaged"):
        unpack(tmp_path, f"{IMAGENETTE}.train", 40)


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("none")
    with pytest.raises(InputError, match="holds no pictures"):
        pack(tmp_path / "train", tmp_path / "out", "x.train")


def test_without_augmentation_a_view_is_the_picture_or_its_mirror(photo_batch: np.ndarray) -> None:
    pictures = torch.from_numpy(np.stack([photo_batch[0, :64, :64]] * 16))
    views, _ = Augmentation(PLAIN, 64, "cpu", (0,))(pictures, torch.eye(16))
    plain = [torch.allclose(view, pictures[0].float(), atol=1e-2) for view in views]
    mirrored = [torch.allclose(view, pictures[0].flip(1).float(), atol=1e-2) for view in views]
    assert any(plain)
    assert any(mirrored)
    assert all(a or b for a, b in zip(plain, mirrored, strict=True))


def test_larger_pictures_are_averaged() -> None:
    """Stripes finer than a pixel of the view become grey, not other stripes."""
    stripes = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 200
    (view,), _ = Augmentation(PLAIN, 32, "cpu", (0,))(stripes, torch.eye(1))
    torch.testing.assert_close(
        view[:, 2:-2], torch.full_like(view[:, 2:-2], 100.0), atol=0.01, rtol=0
    )


def test_targets_are_mixed_as_the_pictures_are() -> None:
    """Black and white pictures: the share of white seen is the share of white in the target."""
    recipe = replace(PLAIN, mix=1.0, cutmix_alpha=1.0, mixup_alpha=1.0)
    pictures = torch.zeros(8, 16, 16, 3, dtype=torch.uint8)
    pictures[4:] = 255
    targets = torch.zeros(8, 2)
    targets[:4, 0] = targets[4:, 1] = 1
    pasted = 0
    for seed in range(12):
        augment = Augmentation(recipe, 16, "cpu", (seed,))
        views, mixed = augment(pictures, targets, augment.mixes(1)[0])
        torch.testing.assert_close(views.mean((1, 2, 3)) / 255, mixed[:, 1], atol=1e-4, rtol=0)
        torch.testing.assert_close(mixed.sum(1), torch.ones(8))
        pasted += bool(((views == 0) | (views == 255)).all()) and bool((mixed[:, 1] % 1 > 0).any())
    assert 0 < pasted < 12, "both ways of mixing were seen"


def test_strong_augmentation_stays_in_range_and_repeats_by_seed(photo_batch: np.ndarray) -> None:
    recipe = replace(Recipe(), erase=1.0, random_strength=1.0)
    pictures = torch.from_numpy(photo_batch)
    (first, _), (again, _), (other, _) = (
        Augmentation(recipe, 96, "cpu", seed)(pictures, torch.eye(4)) for seed in ((1,), (1,), (2,))
    )
    assert first.shape == (4, 96, 96, 3)
    assert 0 <= float(first.min()) <= float(first.max()) <= 255
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", ["plain", "guided"])
def test_a_resumed_run_ends_as_one_that_was_not_stopped(
    packed: Path, tmp_path: Path, kind: str
) -> None:
    make = guided_job if kind == "guided" else job
    whole, first, second = (GpuRun(make(packed, mix=0.5, random_ops=2)) for _ in range(3))
    assert whole.train(float("inf"), say_nothing)
    assert not first.train(time.monotonic() + 1e-3, say_nothing)
    assert first.epoch == 1
    first.save(tmp_path)
    assert second.restore(tmp_path)
    assert second.epoch == 1
    assert second.train(float("inf"), say_nothing)
    for (name, expected), got in zip(
        whole.weights().items(), second.weights().values(), strict=True
    ):
        assert torch.equal(expected, got), name


def test_a_state_of_another_recipe_is_refused(packed: Path, tmp_path: Path) -> None:
    first, second = GpuRun(job(packed)), GpuRun(job(packed, learning_rate=0.5))
    first.save(tmp_path)
    with pytest.raises(CheckpointError, match="by another plan"):
        second.restore(tmp_path)


def test_a_large_state_goes_without_moments(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = GpuRun(job(packed)), GpuRun(job(packed))
    first.train(time.monotonic() + 1e-3, say_nothing)
    first.save(tmp_path / "whole")
    monkeypatch.setattr(gpu_run, "STATE_BYTES", 1000)
    first.save(tmp_path / "small")
    whole, small = (
        sum(path.stat().st_size for path in (tmp_path / name).iterdir())
        for name in ("whole", "small")
    )
    assert small < 0.4 * whole
    assert second.restore(tmp_path / "small")
    for name, weight in first.module.named_parameters():
        torch.testing.assert_close(second.module.get_parameter(name), weight, atol=1e-3, rtol=1e-3)
    assert second.train(float("inf"), say_nothing)


LAVIT = LavitSpec(
    "student",
    (StageSpec(16, 1, 1, patch=4), StageSpec(16, 1, 1), StageSpec(32, 2, 2, less=1)),
    image_px=32,
    local_perception=True,
    stem="convolution",
)


def guided_job(packed: Path, **changes: object) -> Job:
    """A LaViT that follows a teacher's answers and maps."""
    whole = job(packed, guidance=2.0, **changes)
    run = replace(whole.run, spec=LAVIT, teacher="imagenet")
    return replace(whole, run=run, teacher=teacher_with_maps())


class _Waits(TorchDispatchMode):
    """Collects operations that read a number back, or copy one from the host to the device."""

    NAMES = ("_local_scalar_dense", "lift_fresh", "nonzero", "masked_select", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.found |= {name for name in self.NAMES if name in str(func)}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("make", [job, guided_job])
def test_a_step_never_waits_for_the_device(packed: Path, make: Callable[..., Job]) -> None:
    """Otherwise it could not be recorded as a CUDA graph."""
    run = GpuRun(make(packed))
    epochs = run.epochs
    recipe = replace(run.recipe, epochs=9, random_ops=2, erase=0.5, mix=1.0)
    epochs.train(recipe, 0)
    epochs.step_number.zero_()
    _, step = epochs._for(recipe.in_epoch(0))
    with _Waits() as waits:
        step()
        if waits.found:
            pytest.fail(f"a step waits: {waits.found}")
        assert float(epochs.total) > 0
    assert waits.found == {"_local_scalar_dense"}, "the check sees what it looks for"


def test_the_average_follows_as_torchs_does() -> None:
    """But for the first step, which torch copies."""
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    theirs, ours = averaged(module, 0.9), averaged(module, 0.9)
    theirs.update_parameters(module)
    ours.n_averaged += 1
    follow = following(ours, module, 0.9)
    for _ in range(4):
        with torch.no_grad():
            module[0].weight.normal_()
        module(torch.randn(5, 3))
        theirs.update_parameters(module)
        follow()
    for (name, expected), got in zip(
        theirs.state_dict().items(), ours.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(got, expected, msg=name)


def test_a_run_of_some_seconds_stops_in_time(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first epoch takes longer; no epoch begins that would end after the deadline."""
    clock = [0.0]
    monkeypatch.setattr(gpu_run, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def started() -> GpuRun:
        run = GpuRun(job(packed, epochs=50))

        def epoch(*_: object) -> float:
            clock[0] += 1.0 if run.epoch else 7.0
            return 1.0

        run.epochs.train = epoch  # type: ignore[method-assign]
        return run

    run = started()
    assert run.train(float("inf"), say_nothing, seconds=12.0)
    assert (run.epoch, clock[0]) == (6, 12.0), "not one epoch, as the first one's time would say"
    clock[0] = 0.0
    late = started()
    assert not late.train(10.5, say_nothing)
    assert clock[0] <= 10.5


def test_it_learns_colours(packed: Path) -> None:
    run = GpuRun(job(packed, epochs=60, learning_rate=3e-3, ema_decay=0.9, warmup_epochs=5))
    assert run.train(float("inf"), say_nothing)
    answers = run.evaluate()
    assert answers["val_top1"] >= 0.8
    assert answers["val_top5"] == 1.0


def test_large_states_are_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "PART_BYTES", 1000)
    tensors = {f"t{i}": torch.full((100,), float(i)) for i in range(7)}
    written = save_parts(tmp_path, "run.state", tensors)
    assert len(written) == 4
    back = load_parts(tmp_path, "run.state")
    assert back is not None
    assert all(torch.equal(back[key], value) for key, value in tensors.items())
    save_parts(tmp_path, "run.state", {"t": torch.zeros(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["run.state.0of1.pt"]
    assert load_parts(tmp_path, "other") is None


def test_a_missing_part_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "PART_BYTES", 1000)
    written = save_parts(tmp_path, "s", {f"t{i}": torch.zeros(200) for i in range(3)})
    written[1].unlink()
    with pytest.raises(CheckpointError, match="2 of the 3 parts"):
        load_parts(tmp_path, "s")
    written[1].write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="is damaged"):
        load_parts(tmp_path, "s")


def test_the_plan_can_be_run() -> None:
    """Names are unique, and what a run starts from comes before it and keeps its weights."""
    runs = plan()
    before: dict[str, Run] = {}
    for run in runs:
        assert run.name not in before
        if run.init not in (None, SHIPPED_LAVIT):
            assert before[run.init].keeps_weights
        assert run.data in (IMAGENETTE, TINY_IMAGENET)
        assert run.answering_spec.image_px == run.answer_px
        before[run.name] = run


def test_imagenets_numbers_are_in_its_order() -> None:
    """Some that are well known, and no number twice."""
    assert (NUMBERS["tench"], NUMBERS["golf_ball"], NUMBERS["school_bus"]) == (0, 574, 779)
    assert (NUMBERS["tabby"], NUMBERS["pizza"], NUMBERS["remote_control"]) == (281, 963, 761)
    assert len(set(NUMBERS.values())) == len(NUMBERS) == 210


_ONLY = """
import runpy
import sys

REFUSED = ("safetensors", "PIL", "onnx", "onnxruntime", "openvino", "typer", "rich", "matplotlib",
           "msgspec", "yaml", "edgevit_export", "edgevit_runtimes", "efficientnet_lite_pytorch")
sys.modules.update(dict.fromkeys(REFUSED))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_it_can_be_loaded_with_torch_numpy_and_opencv_alone(tmp_path: Path) -> None:
    alone = tmp_path / "alone.py"
    alone.write_text(_ONLY)
    ended = python(alone, SCRIPT, "train", "--help")
    assert ended.code == 0, ended.err


@pytest.mark.slow
def test_it_needs_torch_numpy_and_opencv_alone(packed: Path, tmp_path: Path) -> None:
    """The command from end to end, where nothing else is installed; then weights to export."""
    alone = tmp_path / "alone.py"
    alone.write_text(_ONLY)
    results, again = tmp_path / "results", tmp_path / "again"
    options = ("--runs", "ab.mean.seed0=1", "--device", "cpu", "--minutes", 9)
    trained = python(alone, SCRIPT, "train", packed, tmp_path, "--output", results, *options)
    assert trained.code == 0, trained.err
    (row,) = map(json.loads, (results / "rows.000.jsonl").read_text().splitlines())
    assert row["run"] == "ab.mean.seed0"
    assert 0 <= row["val_top1"] <= 1
    assert row["pictures"] == 20
    assert [path.name for path in results.iterdir()] == ["rows.000.jsonl"], (
        "an A/B keeps no weights"
    )
    repeated = train(packed, results, "--output", again, "--runs", "ab.mean.seed0")
    assert repeated.code == 0
    assert list(again.iterdir()) == [], "what is done is not done again"


@pytest.mark.slow  # an export of its own
def test_weights_are_collected_for_export(packed: Path, tmp_path: Path) -> None:
    start = {"blocks.0.query.bias": torch.zeros(192)}
    save_parts(tmp_path, "lla_tiny.200.weights", start)
    (packed_teacher := tmp_path / "shards").mkdir()
    for shard in packed.iterdir():
        (packed_teacher / shard.name).symlink_to(shard)
    options = ("--runs", "lla_tiny.10=1", "--minutes", 9)
    missing = train(packed_teacher, tmp_path, "--output", tmp_path / "out", *options)
    assert missing.code == 1
    assert missing.err.startswith("error: There is no teacher")
    torch.save(tiny_teacher(), packed_teacher / "teacher.pt")
    trained = train(packed_teacher, tmp_path, "--output", tmp_path / "out", *options)
    assert trained.code == 0, trained.err
    collected = python(SCRIPT, "collect", tmp_path / "out", "--output", tmp_path / "zoo")
    assert collected.code == 0, collected.err
    file = tmp_path / "zoo" / "lla_tiny.10.safetensors"
    model = load_model(find("lla_tiny"), file)
    assert model.classes == TEN
    row = json.loads((tmp_path / "out" / "rows.000.jsonl").read_text())
    assert model.notes["val_top1"] == f"{row['val_top1']:.4f}"
    pictures = unpack(packed, f"{IMAGENETTE}.val", model.module.spec.image_px)
    with torch.inference_mode():
        right = model.module(torch.from_numpy(pictures.pixels)).argmax(1).numpy() == pictures.labels
    assert right.mean() == pytest.approx(row["val_top1"], abs=0.11)


def tiny_teacher() -> dict[str, object]:
    """One convolution and a head for ImageNet's thousand classes."""
    rng = torch.Generator().manual_seed(0)
    layer = {
        "weight": torch.randn(8, 3, 3, 3, generator=rng).half(),
        "bias": torch.zeros(8).half(),
        "stride": 2,
        "groups": 1,
        "activation": True,
        "adds": 0,
    }
    head = {"weight": torch.randn(1000, 8, generator=rng).half(), "bias": torch.zeros(1000).half()}
    return {"layers": [layer], "head": head, "facts": {"size_px": 32, "mean": 127.0, "std": 128.0}}


def teacher_with_maps() -> FoldedNetwork:
    """Three halvings, each the end of a block."""
    rng = torch.Generator().manual_seed(0)
    widths = [(3, 8), (8, 12), (12, 16)]
    layers = [
        {
            "weight": 0.3 * torch.randn(outputs, inputs, 3, 3, generator=rng),
            "bias": torch.zeros(outputs),
            "stride": 2,
            "groups": 1,
            "activation": False,
            "adds": 0,
        }
        for inputs, outputs in widths
    ]
    head = {"weight": torch.randn(1000, 16, generator=rng), "bias": torch.zeros(1000)}
    return FoldedNetwork(layers, head, {"size_px": 32, "mean": 127.0, "std": 128.0})


def test_a_teacher_can_be_adapted_to_a_set(packed: Path, tmp_path: Path) -> None:
    """It learns to tell five colours apart, and knows nothing else afterwards."""
    pictures = unpack(packed, f"{IMAGENETTE}.train", 40)
    before = teacher_with_maps()
    recipe = replace(PLAIN, epochs=40, batch=10, learning_rate=1e-2, ema_decay=0.9)
    after = adapted(before, pictures, recipe, "cpu", say_nothing)
    assert accuracy_of(after, pictures, "cpu") >= max(0.9, accuracy_of(before, pictures, "cpu"))
    torch.save(after.content(), tmp_path / "teacher.pt")
    again = load_teacher(tmp_path / "teacher.pt")
    assert again.classes == TEN
    assert again.facts["size_px"] == SIZE_PX
    assert not any(parameter.requires_grad for parameter in again.parameters())
    assert accuracy_of(again, pictures, "cpu") == accuracy_of(after, pictures, "cpu")
    with pytest.raises(InputError, match="does not know pizza"):
        again.columns(("tench", "pizza"), "cpu")


@pytest.mark.slow  # trains the real shape of a model
def test_the_command_adapts_a_teacher(folder: Path, tmp_path: Path) -> None:
    packed = python(SCRIPT, "pack", tmp_path, f"{TINY_IMAGENET}={folder}", "--no-teacher")
    assert packed.code == 0, packed.err
    arguments = ("--runs", "lla_micro.200=1", "--output", tmp_path / "out", "--minutes", 9)
    torch.save(tiny_teacher(), tmp_path / "teacher.pt")
    missing = train(tmp_path, tmp_path / "results", *arguments)
    assert missing.code == 1
    assert "'adapt-teacher' trains it" in missing.err
    done = python(
        SCRIPT, "adapt-teacher", tmp_path, TINY_IMAGENET, "--epochs", "1", "--device", "cpu"
    )
    assert done.code == 0, done.err
    assert "teacher.tiny_imagenet.pt  top-1" in done.out
    trained = train(tmp_path, tmp_path / "results", *arguments)
    assert trained.code == 0, trained.err
    (row,) = map(json.loads, (tmp_path / "out" / "rows.000.jsonl").read_text().splitlines())
    assert row["teacher"] == "adapted"


@needs_teacher
def test_a_folded_teacher_answers_as_the_package_does(photos: list[np.ndarray]) -> None:
    from edgevit.images import image_io
    from edgevit_export.convert import efficientnet_lite as lite

    pictures = torch.from_numpy(image_io.batch(photos, Preprocess(lite.SIZE_PX)))
    content = lite.folded_layers()
    folded = FoldedNetwork(content["layers"], content["head"], content["facts"])
    with torch.inference_mode():
        expected, *expected_maps = lite._Normalised(lite._network())(pictures)
        answers, maps = folded.answers(pictures.float())
    torch.testing.assert_close(answers, expected, atol=0.1, rtol=0.05)
    assert list(maps) == ["stage_3", "stage_4"]
    for (name, got), wanted in zip(maps.items(), expected_maps, strict=True):
        assert got.shape[1] == folded.map_channels[name]
        assert torch.nn.functional.cosine_similarity(got, wanted, dim=1).min() > 0.999


def test_few_pictures_of_some_classes() -> None:
    """Of classes 1 and 2 of three, the first two pictures each."""
    import runpy

    chosen = runpy.run_path(str(SCRIPT))["_chosen"]
    labels = np.array([0, 1, 2, 0, 1, 2, 1, 2])
    pixels = np.arange(8, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    pictures = Pictures(pixels, labels, ("a", "b", "c"))
    run = Run("few", SPEC, IMAGENETTE, PLAIN, 32, first_class=1, classes=2, per_class=2)
    few = chosen(pictures, run, run.per_class)
    assert few.classes == ("b", "c")
    assert few.labels.tolist() == [0, 0, 1, 1]
    assert few.pixels[:, 0, 0, 0].tolist() == [1, 4, 2, 5]

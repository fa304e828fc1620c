"""The benchmarks measure what they say; their figures come from the real commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import superpixels as quality
from claim import claim_verdicts
from edgevit.images.image_io import Image
from edgevit.zoo.spec import SuperpixelSpec
from edgevit_runtimes.bench import interleave
from support import ROOT, python, write_png


def halves(size: int = 224) -> np.ndarray:
    labels = np.zeros((size, size), np.int32)
    labels[:, size // 2 :] = 1
    return labels


def test_the_truth_scores_perfectly() -> None:
    found = quality.score(halves(), halves()[None])
    assert found == quality.Score(2, 1.0, 0.0, 1.0)


def test_labels_need_not_be_consecutive() -> None:
    assert quality.score(halves() * 7 + 3, halves()[None]).segments == 2


def test_one_segment_over_two_truths_leaks_half() -> None:
    found = quality.score(np.zeros((224, 224), np.int32), halves()[None])
    assert found.achievable_accuracy == 0.5
    assert found.undersegmentation_error == 1.0
    assert found.boundary_recall == 0.0


def test_a_boundary_counts_within_two_pixels() -> None:
    for shift, recall in ((2, 1.0), (4, 0.0)):
        moved = np.roll(halves(), shift, axis=1)
        moved[:, :shift] = 0
        assert quality.score(moved, halves()[None]).boundary_recall == recall


def test_a_library_is_scored_at_exactly_our_number_of_segments(photos: list[Image]) -> None:
    picture = cv2.resize(photos[0], (224, 224), interpolation=cv2.INTER_AREA)
    sample = quality.Sample("astronaut", picture, halves()[None])
    below, above = quality.with_at_least(quality.skimage_slic, picture, 20, 10.0)
    assert len(np.unique(below)) <= 20 <= len(np.unique(above))
    found = quality.at_equal_segments(quality.skimage_slic, sample, 20, 10.0)
    assert found.segments == pytest.approx(20)


def test_edgevits_superpixels_are_no_worse_on_a_made_up_scene() -> None:
    """Four flat regions with noise: the borders are found."""
    truth = np.kron(np.arange(4).reshape(2, 2), np.ones((112, 112), int)).astype(np.int32)
    colours = np.array([[200, 60, 60], [60, 160, 60], [60, 60, 200], [180, 180, 60]])
    noise = np.random.default_rng(0).normal(0, 12, (224, 224, 3))
    picture = (colours[truth] + noise).clip(0, 255).astype(np.uint8)
    shifted = np.roll(picture, (9, 13), (0, 1))
    labels = quality.edgevit_slic(SuperpixelSpec((4, 4)))(shifted)
    found = quality.score(labels, np.roll(truth, (9, 13), (0, 1))[None])
    assert found.achievable_accuracy > 0.97
    assert found.boundary_recall > 0.9


@pytest.mark.slow  # a whole benchmark; its parts are tested above
def test_the_quality_benchmark_runs(tmp_path: Path, photos: list[Image]) -> None:
    folder = tmp_path / "bsds"
    folder.mkdir()
    write_png(folder / "a.png", photos[0])
    (folder / "a.png").rename(folder / "a.jpg")  # OpenCV looks at the content
    truth = np.stack([halves(512), halves(512).T]).astype(np.uint16)
    np.savez_compressed(folder / "a_gt.npz", segmentation=truth)
    ended = python(ROOT / "benchmarks" / "superpixels.py", folder, "--json")
    assert ended.code == 0, ended.err
    ended = python(
        ROOT / "benchmarks" / "superpixels.py", folder, "--pictures", tmp_path / "pictures"
    )
    assert ended.code == 0, ended.err
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_interleaving_keeps_the_functions_apart() -> None:
    calls: list[str] = []
    times = interleave.interleave(
        [lambda: calls.append("a"), lambda: calls.append("b")], block=3, rounds=2, discard=1
    )
    assert "".join(calls) == "aaaabbbb" * 2
    assert times.samples == 6
    assert times.times_ms.shape == (2, 2)


def test_a_ratio_is_taken_round_by_round() -> None:
    times = interleave.Interleaved(np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]), samples=150)
    assert times.ratio(1, 0) == (10.0, 10.0, 10.0)
    assert times.median_ms(0) == 2.0


@pytest.mark.slow
def test_the_timing_benchmarks_run(photo_folder: Path) -> None:
    for script, *arguments in (
        ("latency.py", "--rounds", 2, "--json"),
        ("superpixel_speed.py", "--model", "lla_tiny", "--json"),
        ("parity.py", photo_folder),
    ):
        ended = python(ROOT / "benchmarks" / script, *arguments)
        assert ended.code == 0, f"{script}\n{ended.err}"


def row(key: str, top1: float, **figures: object) -> dict[str, object]:
    share = {"share": top1, "interval_95": [top1 - 0.02, top1 + 0.02]}
    common = {
        "key": key,
        "model": key,
        "family": "superpixels",
        "epochs": 20,
        "macs": 100,
        "train_epoch_s": 40.0,
        "train_activation_mib": 1000.0,
        "latency_ms_p50": 4.0,
        "times_faster_than_ruler": 1.0,
    }
    return {**common, "top1": share, **figures}


def test_verdicts_follow_from_the_figures() -> None:
    cheap = row(
        "lla_tiny_strips",
        0,
        train_epoch_s=10.0,
        train_activation_mib=80.0,
        times_faster_than_ruler=5.0,
    )
    vit = row("vit", 0.81)
    found = claim_verdicts.verdicts([vit, row("carry_l8", 0.80)], [vit, cheap])
    assert [v["verdict"] for v in found] == ["reproduced"] * 4
    heavy = row("lla_tiny_strips", 0, train_epoch_s=30.0, train_activation_mib=990.0)
    found = claim_verdicts.verdicts([vit, row("carry_l8", 0.70)], [vit, heavy])
    assert [v["verdict"] for v in found] == ["partly", *["not reproduced"] * 3]


def test_verdicts_on_lavit() -> None:
    rows = [
        row("lavit", 0.80, macs=99),
        row("lavit_vanilla", 0.79),
        row("lavit_no_residual", 0.75),
        row("lavit_no_loss", 0.80),
    ]
    cost = [row("vit_tiny", 0), row("lla_tiny_strips", 0)]
    verdicts = [v["verdict"] for v in claim_verdicts.verdicts(rows, cost)[3:]]
    assert verdicts == [
        "partly", "reproduced", "reproduced", "not reproduced", "not testable here",
    ]  # fmt: skip


def test_the_front_is_drawn(tmp_path: Path) -> None:
    claim_verdicts.draw_front([row("vit", 0.81), row("carry_l8", 0.8)], tmp_path / "front.svg")
    assert "<svg" in (tmp_path / "front.svg").read_text()


@pytest.mark.slow
def test_training_costs_are_measured() -> None:
    """What is kept for the backward pass grows with the batch; what is fixed is small beside it."""
    kept = {}
    for batch in (2, 4):
        options = ("--batch", batch, "--steps", 1, "--json")
        ended = python(ROOT / "benchmarks" / "training_cost.py", "lla_tiny_32", *options)
        assert ended.code == 0, ended.err
        (cost,) = json.loads(ended.out)
        assert (cost["batch"], cost["steps"]) == (batch, 1)
        assert cost["epoch_s"] == pytest.approx(cost["step_s"] * (9469 // batch), rel=0.01)
        kept[batch] = cost["activation_mib"]
    assert kept[4] == pytest.approx(2 * kept[2], rel=0.2)


@pytest.mark.slow
def test_the_claims_are_tested_from_end_to_end(class_folder: Path, tmp_path: Path) -> None:
    for part in ("train", "val"):
        shutil.copytree(class_folder, tmp_path / "data" / part)
    command = (ROOT / "benchmarks" / "claims.py", tmp_path / "data", "--epochs", 1, "--json")
    options = ("--only", "vit", "carry_l8", "--output", tmp_path / "out")
    ended = python(*command, *options)
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert [r["key"] for r in content["rows"]] == ["vit", "carry_l8"]
    assert len(content["verdicts"]) == 4
    assert (tmp_path / "out" / "claims.svg").is_file()
    again = python(*command, *options)
    assert "==" not in again.err, "what is done is not done again"


def test_the_cameras_figures_are_measured(clip: Path) -> None:
    """The loop's own share on a real stream, in two seconds; more takes minutes."""
    script = ROOT / "benchmarks" / "cameras" / "camera.py"
    ended = python(script, "fast", clip, "--seconds", 2)
    assert ended.code in (0, 1), ended.err
    found = json.loads(ended.out)
    assert found["frames"]["answered"] > 0
    assert found["overhead_mean_ms"]["limit"] == 1.0
    assert found["stages_ms"]["inference"]["p50"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("options", [("memory", "--frames", 4000), ("viewers", "--rounds", 1)])
def test_long_figures_of_the_camera(options: tuple[object, ...], clip: Path) -> None:
    ended = python(ROOT / "benchmarks" / "cameras" / "camera.py", options[0], clip, *options[1:])
    assert ended.code in (0, 1), ended.err
    assert "holds" in ended.out


def test_starts_are_compared_in_turn(tmp_path: Path) -> None:
    """Of two programs that stand in for edgevit, one waits longer and does not work more."""
    slow, quick = tmp_path / "slow", tmp_path / "quick"
    for program, wait_s in ((slow, 0.3), (quick, 0.1)):
        program.write_text(f"#!/bin/sh\nsleep {wait_s}\n")
        program.chmod(0o755)
    script = ROOT / "benchmarks" / "overhead" / "cold_start.py"
    ended = python(script, slow, quick, tmp_path / "photo.png", "--starts", 3, "--json")
    found = json.loads(ended.out)
    assert found["starts"] == 3
    assert found["before"]["wall_ms"] >= 300
    assert found["after"]["wall_ms"] >= 100
    assert found["ratio"]["wall_ms"][1] <= found["ratio"]["wall_ms"][0]

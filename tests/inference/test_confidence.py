"""Probabilities that can be believed: the temperature, its error, and answers that are unsure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import edgevit as library
from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit
from edgevit.bundle.reports import ConfidenceReport
from edgevit.bundle.temperature import with_confidence
from edgevit.inference.answers import softmax
from edgevit.inference.confidence import calibration_error, fit_temperature
from edgevit.zoo import PREBUILT_BUNDLE
from support import Command
from support.zoo import float_copy


def _drawn(temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax at a temperature is exactly how labels were drawn."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (4000, 10)).astype(np.float32)
    cumulated = softmax(logits / np.float32(temperature)).cumsum(axis=1)
    labels = (rng.random((4000, 1)) > cumulated).sum(axis=1).clip(max=9)
    return logits, labels.astype(np.int64)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found(temperature: float) -> None:
    logits, labels = _drawn(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.1)


def test_it_mends_the_calibration_error() -> None:
    logits, labels = _drawn(2.5)
    assert calibration_error(logits, labels) > 0.1
    assert calibration_error(logits, labels, 2.5) < 0.03


def test_nothing_is_fitted_where_it_cannot_be_known() -> None:
    logits, labels = _drawn(1.0)
    assert fit_temperature(logits[:49], labels[:49]) is None
    assert fit_temperature(logits, logits.argmax(axis=1)) is None


@pytest.fixture
def calibrated(tmp_path: Path) -> Path:
    path = float_copy(tmp_path / "calibrated.edgevit")
    with_confidence(Bundle.open(path), ConfidenceReport(4.0, 100, 0.01, 0.2))
    return path


def prebuilt_temperature() -> float:
    return Bundle.open(PREBUILT_BUNDLE).manifest.temperature


def test_probabilities_are_calibrated_everywhere(
    calibrated: Path, photo_folder: Path, edgevit: Command
) -> None:
    """4.0 is much: the command line, a feed and Python give the same, and are unsure."""
    photo = photo_folder / "photo0.png"
    plain = library.load(PREBUILT_BUNDLE, "float")(photo)
    former = prebuilt_temperature()
    with library.load(calibrated) as model:
        expected = softmax(np.log(plain.probabilities) * np.float32(former / 4))
        np.testing.assert_allclose(model(photo).probabilities, expected, atol=1e-4)
    options = ("--json", "--unsure-below", 0.99)
    (found,) = json.loads(edgevit("run", calibrated, photo, *options).out)["results"]
    assert found["unsure"] is True
    assert found["answers"][0]["probability"] == pytest.approx(expected.max(), abs=1e-4)
    lines = edgevit("run", calibrated, photo, "--jsonl", "-", "--unsure-below", 0.99).out
    answer = json.loads(lines.splitlines()[0])
    assert answer["unsure"] is True
    assert answer["answers"][0]["probability"] == pytest.approx(expected.max(), abs=1e-4)
    table = edgevit("run", calibrated, photo, "--unsure-below", 0.99).out
    assert "unsure of 1 of 1: the likeliest class is below 99.0 %" in table
    sure = json.loads(edgevit("run", calibrated, photo, "--json", "--unsure-below", 0).out)
    assert sure["results"][0]["unsure"] is False


def test_the_first_screen_says_what_the_model_knows(photo_folder: Path, edgevit: Command) -> None:
    assert "lla_tiny knows 200 things: " in edgevit("run", photo_folder / "photo0.png").out


def test_eval_measures_and_mends(answered: Path, tmp_path: Path, edgevit: Command) -> None:
    """Pictures in the folders of other classes: nothing is as sure as it is right."""
    folder = tmp_path / "images"
    shutil.copytree(answered / "val", folder)
    shutil.copytree(answered / "train", folder, dirs_exist_ok=True, copy_function=_renamed_copy)
    one, other = sorted(path for path in folder.iterdir())[:2]
    for file in sorted(one.iterdir())[:2]:
        shutil.move(file, other / f"wrong_{file.name}")
    path = float_copy(tmp_path / "mine.edgevit")
    with edit(Bundle.open(path)) as draft:
        draft.manifest = replace(draft.manifest, confidence=None)
    before = json.loads(edgevit("eval", path, "--data", folder, "--json").out)
    assert before["temperature"] == 1
    ended = edgevit("eval", path, "--data", folder, "--calibrate", "--json")
    assert ended.code == 0, ended.err
    after = json.loads(ended.out)
    report = Bundle.open(path).manifest.confidence
    assert report is not None
    assert after["temperature"] == report.temperature != 1
    assert report.uncalibrated_error == pytest.approx(before["calibration_error"], abs=1e-4)
    assert report.calibration_error == pytest.approx(after["calibration_error"], abs=1e-3)


def _renamed_copy(source: str, target: str) -> None:
    shutil.copy(source, Path(target).with_name(f"train_{Path(target).name}"))


def test_too_little_to_calibrate_on(answered: Path, tmp_path: Path, edgevit: Command) -> None:
    path = float_copy(tmp_path / "mine.edgevit")
    ended = edgevit("eval", path, "--data", answered / "val", "--calibrate")
    assert ended.code == 2
    assert "--calibrate needs 50 images or more" in ended.one_message


def test_a_manifest_with_an_impossible_temperature() -> None:
    with pytest.raises(ValueError, match=r"confidence\.temperature is 0"):
        ConfidenceReport(0.0, 1, 0.0, 0.0)
    manifest = Bundle.open(PREBUILT_BUNDLE).manifest
    assert replace(manifest, confidence=None).temperature == 1

"""Accuracy is counted right, and is that of the deployed file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.accuracy import Accuracy, Proportion
from edgevit.models.checkpoint import read_checkpoint
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.registry import MODELS, find
from edgevit_runtimes.backends.classifier import BundleClassifier
from support import SHARED_DATA, Command, write_png
from support.needs import IMAGENETTE


@pytest.mark.parametrize(
    ("right", "of", "interval"),
    [
        # Wilson's interval, from the closed form in Newcombe (1998), table I.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_intervals_are_wilsons(right: int, of: int, interval: tuple[float, float]) -> None:
    assert Proportion(right, of).interval == pytest.approx(interval, abs=5e-5)


def test_counts() -> None:
    logits = np.array(
        [
            [9, 1, 0, 0, 0, 0, 0],
            [0, 9, 1, 0, 0, 0, 0],
            [6, 5, 4, 3, 2, 1, 0],
            [1, 2, 3, 4, 5, 6, 7],
        ],
        np.float32,
    )
    accuracy = Accuracy(logits, np.array([0, 0, 5, 0]), tuple("abcdefg"))
    assert (accuracy.top1.right, accuracy.top5.right) == (1, 2)
    assert accuracy.confusion[0].tolist() == [1, 1, 0, 0, 0, 0, 1]
    confusion, names = accuracy.used_confusion
    assert names == ["a", "b", "f", "g"]
    assert confusion.sum() == 4
    first, second = accuracy.by_class()
    assert first["class"] == "a"
    assert first["recall"]["right"] == 1
    assert first["precision"] == {**first["precision"], "right": 1, "of": 2}
    assert second["most_taken_for"] == "a"


@pytest.fixture
def labelled(tmp_path: Path, photos: list[Image]) -> Path:
    """Photographs in folders of two of the shipped model's classes."""
    for name in ("espresso", "alp"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for i, photo in enumerate(photos):
        write_png(tmp_path / "data" / ("espresso", "alp")[i % 2] / f"{i}.png", photo)
    return tmp_path / "data"


def test_the_counts_are_those_of_the_deployed_file(
    labelled: Path, photos: list[Image], edgevit: Command, tmp_path: Path
) -> None:
    picture = tmp_path / "confusion.png"
    ended = edgevit("eval", PREBUILT_BUNDLE, "--data", labelled, "--json", "--confusion", picture)
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    with BundleClassifier(Bundle.open(PREBUILT_BUNDLE)) as classifier:
        answers = [answer[0].label for answer in classifier.answer(photos, 1)]
    right = sum(a == ("espresso", "alp")[i % 2] for i, a in enumerate(answers))
    assert content["top1"]["right"] == right
    assert content["images"] == len(photos)
    assert [row["images"] for row in content["classes"]] == [2, 2]
    assert sum(map(sum, content["confusion"]["images"])) == len(photos)
    assert content["images_per_s"]["inference"] >= content["images_per_s"]["with_reading"] > 0
    assert image_io.read(picture).shape[0] > 300


def test_an_accuracy_says_which_pictures_it_is_of(labelled: Path, edgevit: Command) -> None:
    def evaluated(folder: Path) -> dict[str, Any]:
        ended = edgevit("eval", PREBUILT_BUNDLE, "--data", folder, "--json")
        assert ended.code == 0, ended.err
        said: dict[str, Any] = json.loads(ended.out)["picture_set"]
        return said

    first = evaluated(labelled)
    assert (first["name"], first["images"]) == ("data", 4)
    renamed = Path(shutil.copytree(labelled, labelled.parent / "again"))
    (renamed / "espresso" / "0.png").rename(renamed / "espresso" / "z.png")
    assert evaluated(renamed) == {**first, "name": "again"}, "neither names nor their order count"
    (renamed / "espresso" / "z.png").rename(renamed / "alp" / "z.png")
    assert evaluated(renamed)["sha256"] != first["sha256"], "the class does"
    (renamed / "alp" / "z.png").unlink()
    assert evaluated(renamed)["images"] == 3


def test_a_table_for_people_and_the_default_model(labelled: Path, edgevit: Command) -> None:
    ended = edgevit("eval", "--data", labelled)
    assert ended.code == 0, ended.err
    for word in ("top-1", "top-5", "espresso", "alp", "images/s"):
        assert word in ended.out


@pytest.mark.slow
def test_a_model_of_the_zoo_is_exported_first(labelled: Path, edgevit: Command) -> None:
    """Every class is known to an untrained model only by number."""
    numbered = labelled.parent / "numbered"
    shutil.copytree(labelled / "espresso", numbered / "class 3")
    ended = edgevit("eval", "--model", "vit_tiny_32", "--data", numbered, "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert content["trained"] is False
    assert content["model"] == "vit_tiny_32"


def test_validation_images_inside_are_found(labelled: Path, edgevit: Command) -> None:
    shutil.copytree(labelled, labelled.parent / "both" / "val")
    ended = edgevit("eval", "--data", labelled.parent / "both", "--json")
    assert json.loads(ended.out)["images"] == 4


def test_a_damaged_picture_is_named_or_skipped(labelled: Path, edgevit: Command) -> None:
    (labelled / "espresso" / "broken.jpg").write_bytes(b"no picture")
    ended = edgevit("eval", "--data", labelled)
    assert ended.code == 2
    assert "1 of 5 images cannot be decoded" in ended.one_message
    assert "broken.jpg" in ended.one_message
    assert "--skip-corrupt" in ended.one_message
    skipped = edgevit("eval", "--data", labelled, "--skip-corrupt", "--json")
    assert skipped.code == 0
    assert "skipped: 1 of 5" in skipped.err
    assert json.loads(skipped.out)["images"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "{data}", "--model", "nothing"], "Unknown model"),
        (["{bundle}", "--data", "{data}", "--model", "lla_tiny"], "give one of them"),
        (["{bundle}"], "give their folder with --data"),
        (["--data", "{data}", "{data}/espresso"], "expected one folder"),
        (["--data", "nowhere"], "is not a folder"),
        (["--data", "{data}/espresso"], "has no class folders"),
        (["--data", "{data}", "--variant", "int4"], "has no variant 'int4'"),
        (["--data", "{data}", "--confusion", "x.txt"], "must end in .png"),
    ],
)
def test_bad_input(arguments: list[str], message: str, labelled: Path, edgevit: Command) -> None:
    filled = [a.format(data=labelled, bundle=PREBUILT_BUNDLE) for a in arguments]
    ended = edgevit("eval", *filled)
    assert ended.code == 2
    assert message in ended.one_message


def test_unknown_and_empty_classes(labelled: Path, edgevit: Command) -> None:
    (labelled / "zebra").mkdir()
    assert "No image found below" in edgevit("eval", "--data", labelled).one_message
    shutil.copy(next((labelled / "espresso").iterdir()), labelled / "zebra")
    assert "does not know 1 of the 3 classes of the images: zebra" in (
        edgevit("eval", "--data", labelled).one_message
    )


@pytest.mark.slow
@pytest.mark.only_if(IMAGENETTE)
@pytest.mark.parametrize("name", [n for n in MODELS if "imagenette" in MODELS[n].weight_sets])
def test_shipped_weights_are_as_good_as_they_say(edgevit: Command, name: str) -> None:
    options = ("--model", f"{name}:imagenette", "--json")
    content = json.loads(edgevit("eval", *options, "--data", SHARED_DATA / "imagenette").out)
    weights = find(f"{name}:imagenette").weights
    assert weights is not None
    stated = float((read_checkpoint(weights).notes or {})["val_top1"])
    assert content["top1"]["share"] == pytest.approx(stated, abs=0.002)

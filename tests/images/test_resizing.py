"""What a model sees of a picture: squashed, cropped, letterboxed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit
from edgevit.images import image_io
from edgevit.images.drawn.drawing import draw_superpixels
from edgevit.images.image_io import Image
from edgevit.images.resizing import LETTERBOX_GREY, Rectangle, seen_part
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit_runtimes.backends.classifier import BundleClassifier
from support import Command, write_png
from support.zoo import float_copy

SQUASH, CROP = Preprocess(64), Preprocess(64, "crop", crop_pct=0.5)
LETTERBOX = Preprocess(64, "letterbox")


def framed(height: int, width: int) -> Image:
    """Red, with a blue square in the middle whose side is half of the shorter one."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = 255
    half = min(height, width) // 2
    top, left = (height - half) // 2, (width - half) // 2
    picture[top : top + half, left : left + half] = (0, 0, 255)
    return picture


@pytest.mark.parametrize("size", [(200, 400), (400, 200), (96, 96), (64, 64), (20, 40)])
def test_a_crop_takes_the_middle(size: tuple[int, int]) -> None:
    seen = image_io.resize(framed(*size), CROP)
    assert seen.shape == (64, 64, 3)
    assert (seen == (0, 0, 255)).all()


def test_a_whole_crop_is_as_wide_as_the_shorter_side() -> None:
    assert seen_part(200, 400, replace(CROP, crop_pct=1.0)) == Rectangle(100, 0, 200, 200)
    assert seen_part(400, 200, replace(CROP, crop_pct=0.875)) == Rectangle(12, 112, 175, 175)


def test_a_crop_is_what_resizing_first_gives(photos: list[Image]) -> None:
    """As torchvision does it: 256 pixels, of which the 224 in the middle; less than a pixel off."""
    import cv2

    photo = photos[1]
    height, width = photo.shape[:2]
    scale = 256 / min(height, width)
    larger = cv2.resize(photo, (round(width * scale), round(height * scale)))
    top, left = ((side - 224) // 2 for side in larger.shape[:2])
    expected = larger[top : top + 224, left : left + 224].astype(int)
    got = image_io.resize(photo, Preprocess(224, "crop", crop_pct=0.875)).astype(int)
    assert np.abs(got - expected).mean() < 4


@pytest.mark.parametrize("size", [(100, 400), (400, 100), (16, 64)])
def test_a_letterbox_shows_all_of_it_on_grey(size: tuple[int, int]) -> None:
    seen = image_io.resize(framed(*size), LETTERBOX)
    upright = seen if size[1] > size[0] else seen.swapaxes(0, 1)
    assert (upright[:24] == LETTERBOX_GREY).all()
    assert (upright[40:] == LETTERBOX_GREY).all()
    assert (upright[24:40, 0] == (255, 0, 0)).all()


def test_a_long_thin_picture_takes_no_memory() -> None:
    thin = np.zeros((1, 200_000, 3), np.uint8)
    for preprocess in (SQUASH, CROP, LETTERBOX):
        assert image_io.resize(thin, preprocess).shape == (64, 64, 3)


def test_superpixels_are_drawn_where_the_model_saw_them() -> None:
    grey = np.full((100, 300, 3), 128, np.uint8)
    quarters = np.kron(np.arange(4, dtype=np.int32).reshape(2, 2), np.ones((8, 8), np.int32))
    cropped = (draw_superpixels(grey, quarters, CROP) != 128).any(-1)
    assert cropped[30:70, 150].all()
    assert not cropped[:25].any()
    assert not cropped[:, :125].any()
    boxed = (draw_superpixels(grey, quarters, LETTERBOX) != 128).any(-1)
    assert boxed[50, 5:130].all()
    assert boxed[5:30, 150].all()
    assert not boxed[:30, :130].any()


@pytest.fixture(scope="module")
def cropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model, told to crop."""

    path = tmp_path_factory.mktemp("cropping") / "lla.edgevit"
    float_copy(path)
    with edit(Bundle.open(path)) as draft:
        fitted = replace(draft.manifest.preprocess, resize="crop", crop_pct=0.5)
        draft.manifest = structs.replace(draft.manifest, preprocess=fitted)
    return path


def test_every_command_crops_once(
    cropping: Path, tmp_path: Path, photos: list[Image], edgevit: Command
) -> None:
    """Of a picture of the model's own size too, which cannot be told from one that is resized."""
    import json

    photo = image_io.resize(photos[0], Preprocess(160))
    with BundleClassifier(Bundle.open(PREBUILT_BUNDLE), "float") as plain:
        (expected,) = plain.answer([photo[40:120, 40:120]], 1)
    file = tmp_path / "images" / expected[0].label / "photo.png"
    file.parent.mkdir(parents=True)
    write_png(file, photo)
    ended = edgevit("run", cropping, file, "--json")
    (found,) = json.loads(ended.out)["results"]
    assert found["answers"][0]["label"] == expected[0].label
    assert found["answers"][0]["probability"] == pytest.approx(expected[0].probability, abs=1e-4)
    evaluated = json.loads(edgevit("eval", cropping, "--data", tmp_path / "images", "--json").out)
    assert evaluated["top1"]["right"] == 1
    assert evaluated["conditions"]["resize"] == "crop 50 % of the shorter side to 160 px"
    lines = tmp_path / "lines.jsonl"
    assert edgevit("run", cropping, file, "--jsonl", lines).code == 0  # as a feed
    answer = json.loads(lines.read_text().splitlines()[0])
    assert answer["answers"][0]["label"] == expected[0].label
    assert answer["answers"][0]["probability"] == pytest.approx(expected[0].probability, abs=1e-4)


def test_a_crop_that_is_none_is_refused(cropping: Path, tmp_path: Path, edgevit: Command) -> None:
    import shutil

    path = tmp_path / "lla.edgevit"
    shutil.copytree(cropping, path)
    manifest = path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"crop_pct": 0.5', '"crop_pct": 1.5'))
    ended = edgevit("inspect", path)
    assert ended.code == 2
    assert "preprocess.crop_pct is 1.5" in ended.one_message

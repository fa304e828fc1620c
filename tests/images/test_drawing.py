"""Pictures of superpixels: right places, any resolution, whole files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.images import image_io
from edgevit.images.drawn.drawing import draw_caption, draw_superpixels, line_width_px
from edgevit.images.image_io import Image
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends.classifier import BundleSuperpixels
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support import Command

QUARTERS = np.kron(np.arange(4, dtype=np.int32).reshape(2, 2), np.ones((28, 28), np.int32))


@pytest.mark.parametrize("size", [(224, 224), (1080, 1920), (90, 600), (32, 32)])
def test_outlines_run_where_labels_change(size: tuple[int, int]) -> None:
    grey = np.full((*size, 3), 128, np.uint8)
    drawn = draw_superpixels(grey, QUARTERS)
    touched = (drawn != 128).any(-1)
    height, width = size
    band = 2 * line_width_px(grey) + 3
    cross = np.zeros(size, bool)
    cross[height // 2 - band : height // 2 + band] = True
    cross[:, width // 2 - band : width // 2 + band] = True
    middle = (slice(height // 2 - height // 20, height // 2 + height // 20 + 1),)
    middle += (slice(width // 2 - width // 20, width // 2 + width // 20 + 1),)
    cross[middle] = True  # corners are round
    assert not touched[~cross].any(), "nothing is drawn away from a border, nor along the rim"
    assert touched[height // 2, band : width // 2 - width // 20].all()
    assert touched[band : height // 2 - height // 20, width // 2].all()
    assert (grey == 128).all(), "the picture itself is left alone"


def test_one_superpixel_has_no_outline(photos: list[Image]) -> None:
    drawn = draw_superpixels(photos[0], np.zeros((56, 56), np.int32))
    np.testing.assert_array_equal(drawn, photos[0])


@pytest.mark.parametrize("size", [(1080, 1920), (120, 160), (400, 90), (8, 8)])
def test_a_caption_fits(size: tuple[int, int]) -> None:
    plain = np.full((*size, 3), 128, np.uint8)
    drawn = draw_caption(plain, "garbage_truck 100 %")
    assert drawn.shape == plain.shape
    changed = (drawn != 128).any(-1)
    assert changed[-1, 0]
    assert not changed[: size[0] // 2 - 4].any(), "it stays in the lower half"


def test_the_bundles_map_is_the_models_own(lla_bundle: Path, photos: list[Image]) -> None:
    """The companion file gives, bit for bit, what the whole model gives as an output."""
    bundle = Bundle.open(lla_bundle)
    feed = {"image": image_io.batch(photos, bundle.manifest.preprocess)}
    with OnnxRuntimeRunner(bundle.variant()) as model, BundleSuperpixels(bundle) as maps:
        expected = model.infer(feed)["superpixels"]
        np.testing.assert_array_equal(np.stack(list(maps.label_maps(photos))), expected)


def test_run_saves_one_picture(tmp_path: Path, photo_folder: Path, edgevit: Command) -> None:
    target = tmp_path / "out.png"
    ended = edgevit("run", photo_folder / "photo2.png", "--output", target, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["results"][0]["saved"] == str(target)
    source, drawn = image_io.read(photo_folder / "photo2.png"), image_io.read(target)
    assert drawn.shape == source.shape, "the size of the picture, not of the model"
    changed = (drawn != source).any(-1).mean()
    assert 0.02 < changed < 0.5


def test_run_saves_several_into_a_folder(
    tmp_path: Path, photo_folder: Path, edgevit: Command
) -> None:
    ended = edgevit("run", PREBUILT_BUNDLE, photo_folder, "--output", tmp_path / "drawn")
    assert ended.code == 0, ended.err
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == [
        f"photo{i}.png" for i in range(4)
    ]


@pytest.mark.parametrize(
    ("pictures", "save", "message"),
    [
        (["photo0.png", "photo1.png"], "one.png", "Name a folder"),
        (["photo0.png"], "one.txt", "picture's suffix"),
        (["photo0.png"], "/proc/one.png", "Cannot write"),
        (["photo0.png", "photo0.png"], "drawn", "the same name"),
        (["photo0.png"], "/dev/null/x.png", "Cannot write"),
    ],
)
def test_bad_places_to_save(
    pictures: list[str],
    save: str,
    message: str,
    tmp_path: Path,
    photo_folder: Path,
    edgevit: Command,
) -> None:
    files = [photo_folder / name for name in pictures]
    ended = edgevit("run", *files, "--output", tmp_path / save)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_the_source_is_never_overwritten(
    tmp_path: Path, photo_folder: Path, edgevit: Command
) -> None:
    own = Path(shutil.copy(photo_folder / "photo0.png", tmp_path))
    before = own.read_bytes()
    for save in (own, tmp_path):
        ended = edgevit("run", own, "--output", save)
        assert ended.code == 2
        assert "overwrite the picture" in ended.one_message
    assert own.read_bytes() == before


def test_a_model_without_superpixels_saves_its_answer(
    vit_bundle: Path, tmp_path: Path, photo_folder: Path, edgevit: Command
) -> None:
    target = tmp_path / "out.jpg"
    assert edgevit("run", vit_bundle, photo_folder / "photo0.png", "--output", target).code == 0
    assert image_io.read(target).shape == image_io.read(photo_folder / "photo0.png").shape

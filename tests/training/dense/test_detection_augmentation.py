"""Pictures and their boxes stay together, whatever is done to them."""

from __future__ import annotations

import numpy as np
import pytest

from edgevit.training.dense.detection_augmentation import DetectionAugmentation, augment
from support.pictures.boxed_pictures import picture_of

PLAIN = DetectionAugmentation(scale=(1.0, 1.0), aspect=1.0, flip=0.0, colour=0.0)
RED = (40, 30, 100, 90)


def found_red(view: np.ndarray) -> list[int]:
    """left, top, right, bottom of what is red."""
    red = (view[..., 0].astype(int) - view[..., 2]) > 80
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("seed", range(25))
def test_a_box_goes_where_its_object_goes(seed):
    picture = picture_of([("red", RED)], (160, 120))
    recipe = DetectionAugmentation(flip_vertical=0.5, colour=0.1)
    view, boxes, seen = augment(
        picture, np.asarray([RED], np.float32), 128, recipe, np.random.default_rng(seed)
    )
    assert view.shape == (128, 128, 3)
    if seen[0]:
        assert np.abs(boxes[0] - found_red(view)).max() <= 1.5


def test_the_same_generator_gives_the_same(tmp_path):
    picture = picture_of([("red", RED)], (160, 120))
    views = [
        augment(picture, np.zeros((0, 4), np.float32), 64, DetectionAugmentation(), rng)[0]
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    ]
    assert np.array_equal(*views)


def test_what_is_hardly_seen_is_no_object():
    picture = picture_of([], (100, 100))
    boxes = np.asarray([[0, 0, 10, 10], [90, 90, 100, 100], [40, 40, 60, 60]], np.float32)
    large = DetectionAugmentation(scale=(4.0, 4.0), aspect=1.0, flip=0.0, colour=0.0)
    _, moved, seen = augment(picture, boxes, 100, large, np.random.default_rng(0))
    areas = np.prod(moved[:, 2:] - moved[:, :2], axis=1)
    assert (
        areas[seen] >= 0.3 * 16 * np.prod(boxes[seen][:, 2:] - boxes[seen][:, :2], axis=1)
    ).all()
    assert not seen.all()


def test_a_flip_mirrors_boxes():
    picture = picture_of([], (100, 100))
    flipped = DetectionAugmentation(
        scale=(1.0, 1.0), aspect=1.0, flip=1.0, flip_vertical=1.0, colour=0.0
    )
    _, boxes, _ = augment(
        picture, np.asarray([[10, 20, 30, 60]], np.float32), 100, flipped, np.random.default_rng(0)
    )
    assert boxes.tolist() == [[70, 40, 90, 80]]

"""Masks: back to the picture, as run lengths, and how good they are."""

from __future__ import annotations

import numpy as np
import pytest

from edgevit.common.errors import InputError
from edgevit.images.resizing import fit
from edgevit.inference.dense.letterbox import boxes_in_picture, mask_in_picture
from edgevit.inference.dense.mask_drop import MaskDrop
from edgevit.inference.dense.masks import class_shares, mask_of_runs, runs_of
from edgevit.inference.dense.segmentation_metrics import (
    SegmentationAccuracy,
    at_borders,
    confusion_of,
)
from edgevit.workflows.dense.gate_masks import labels_in_input
from edgevit.zoo.interface.preprocess import Preprocess, ResizeMode

SIZES = [(120, 200), (200, 120), (64, 64), (31, 47)]


@pytest.mark.parametrize("resize", ["squash", "letterbox"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_mask_of_the_input_lies_on_the_picture(
    height: int, width: int, resize: ResizeMode
) -> None:
    """What is drawn into a picture is found in its input, and comes back to where it was."""
    preprocess = Preprocess(128, resize)
    picture = np.zeros((height, width, 3), np.uint8)
    drawn = np.zeros((height, width), np.uint8)
    drawn[height // 4 : height // 2, width // 3 : width // 3 * 2] = 1
    picture[drawn == 1] = 255
    mask = (fit(picture, preprocess)[:, :, 0] > 127) & (fit(picture, preprocess)[:, :, 1] > 127)
    back = mask_in_picture(mask.astype(np.uint8), height, width, preprocess)
    assert back.shape == drawn.shape
    confusion = confusion_of(drawn, back, 2)
    assert confusion[1, 1] / (confusion.sum() - confusion[0, 0]) > 0.9


def test_a_crop_says_nothing_of_what_it_does_not_see() -> None:
    back = mask_in_picture(np.ones((64, 64), np.uint8), 100, 200, Preprocess(64, "crop"))
    assert (back[:, 50:150] == 1).all()
    assert (back[:, :50] == 255).all()
    assert (back[:, 150:] == 255).all()


def test_boxes_of_a_letterbox_come_back_and_end_at_the_edge() -> None:
    boxes = np.array([[0, 24, 96, 72], [10, 0, 20, 96]], np.float32)
    back = boxes_in_picture(boxes, 240, 480, Preprocess(96, "letterbox"))
    np.testing.assert_allclose(back, [[0, 0, 480, 240], [50, 0, 100, 240]], atol=1e-4)


def test_labels_in_the_input_are_those_of_the_picture() -> None:
    labels = np.zeros((60, 120), np.uint8)
    labels[:, 60:] = 3
    shown = labels_in_input(labels, Preprocess(40, "letterbox"))
    assert (shown[:10] == 255).all()
    assert (shown[30:] == 255).all()
    assert (shown[10:30, :20] == 0).all()
    assert (shown[10:30, 20:] == 3).all()


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (40, 64)])
def test_run_lengths_hold_a_mask(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    mask[0, 0] = 255
    np.testing.assert_array_equal(mask_of_runs(runs_of(mask)), mask)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"height_px": 2, "width_px": 2, "runs": [0, 3]},
        {"height_px": 2, "width_px": 2, "runs": [0, 5, 1, -1]},
        {"height_px": 2, "width_px": 2, "runs": [300, 4]},
        {"height_px": 2, "width_px": 2, "runs": [0]},
        {"height_px": 1 << 40, "width_px": 1 << 40, "runs": [0, 1 << 62]},
        ["no", "mask"],
    ],
)
def test_run_lengths_that_are_none_are_refused(content: object) -> None:
    with pytest.raises(InputError):
        mask_of_runs(content)


def test_iou_is_counted_without_void() -> None:
    labels = np.array([[0, 0, 1, 1, 255]], np.uint8)
    mask = np.array([[0, 1, 1, 1, 0]], np.uint8)
    confusion = confusion_of(labels, mask, 3)
    found = SegmentationAccuracy(confusion, confusion, ("a", "b", "c"), 1, 1)
    assert found.iou[:2].tolist() == [0.5, 2 / 3]
    assert np.isnan(found.iou[2])
    assert found.miou == pytest.approx((0.5 + 2 / 3) / 2)
    assert found.pixel_accuracy == 0.75
    assert found.to_json()["classes"][2]["iou"] is None


def test_borders_are_where_labels_meet_and_not_where_void_begins() -> None:
    labels = np.zeros((9, 40), np.uint8)
    labels[:, 20:] = 2
    labels[:, 34:] = 255
    band = at_borders(labels)
    assert sorted(set(np.flatnonzero((band != 255).any(axis=0)))) == list(range(17, 23))
    assert (band[:, 17:20] == 0).all()
    assert (band[:, 20:23] == 2).all()


def test_the_drop_is_in_points_of_miou() -> None:
    labels = np.repeat(np.array([[[0, 0, 1, 1]]], np.uint8), 4, axis=0)
    worse = labels.copy()
    worse[:, 0, 1] = 1
    drop = MaskDrop.of(labels, worse, labels)
    assert drop.points == pytest.approx(100 * (1 - (0.5 + 2 / 3) / 2))
    assert drop.interval == pytest.approx((drop.points, drop.points))
    assert MaskDrop.of(labels, labels, labels).points == 0


def test_shares_are_of_what_was_answered() -> None:
    mask = np.array([[0, 2, 2, 255]], np.uint8)
    np.testing.assert_allclose(class_shares(mask, 3), [1 / 3, 0, 2 / 3])

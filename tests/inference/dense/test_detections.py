"""Detections: back in the picture's pixels, their precision, and whether two runners agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevit.common.errors import InputError
from edgevit.images.labelled_boxes.boxed_picture import BoxedPicture
from edgevit.inference.dense.box_drop import BoxDrop, box_error, packed_boxes
from edgevit.inference.dense.detection_agreement import compare_boxes
from edgevit.inference.dense.detection_metrics import detection_accuracy
from edgevit.inference.dense.detections import Detections
from edgevit.zoo.interface.preprocess import Preprocess


def found(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(scores, np.float32),
        np.asarray(labels, np.int64),
    )


def truth(boxes: list[list[float]], labels: list[int], ignored: list[bool] | None = None):
    return BoxedPicture(
        Path("x.png"),
        100,
        100,
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(labels, np.int64),
        np.asarray(ignored or [False] * len(labels), bool),
    )


def test_rows_of_score_zero_are_no_objects():
    outputs = {
        "boxes": np.asarray([[1, 2, 3, 4], [0, 0, 0, 0]], np.float32),
        "scores": np.asarray([0.5, 0], np.float32),
        "classes": np.asarray([2, 0], np.int64),
    }
    assert Detections.of_outputs(outputs).labels.tolist() == [2]


@pytest.mark.parametrize(
    ("resize", "box"),
    [
        ("letterbox", [100, 100, 200, 200]),  # 400x200 on 100: scale 1/4, 25 px of grey above
        ("squash", [100, 50, 200, 100]),
        ("crop", [150, 50, 200, 100]),
    ],
)
def test_boxes_come_back_in_the_pictures_pixels(resize, box):
    one = found([[25, 25, 50, 50]], [0.9], [0])
    if resize == "letterbox":
        one = found([[25, 50, 50, 75]], [0.9], [0])
    back = one.in_picture(200, 400, Preprocess(100, resize))
    assert back.boxes.tolist() == [box]


def test_a_box_in_the_bars_is_left_out():
    back = found([[10, 0, 40, 20]], [0.9], [0]).in_picture(200, 400, Preprocess(100, "letterbox"))
    assert len(back) == 0


def test_precision_of_perfect_shifted_and_missing_boxes():
    boxes = [[10, 10, 50, 50], [60, 60, 90, 90]]
    perfect = detection_accuracy([found(boxes, [0.9, 0.8], [0, 1])], [truth(boxes, [0, 1])], "ab")
    assert (perfect.ap, perfect.ap50) == pytest.approx((1.0, 1.0))
    # 40x40 moved by 8: IoU 2/3, which counts at 0.50, 0.55, 0.60 and 0.65
    shifted = detection_accuracy(
        [found([[18, 10, 58, 50]], [0.9], [0])], [truth(boxes, [0, 1])], "ab"
    )
    assert [each.ap50 for each in shifted.by_class] == pytest.approx([1.0, 0.0])
    assert shifted.by_class[0].ap == pytest.approx(0.4)
    nothing = detection_accuracy([found([], [], [])], [truth(boxes, [0, 1])], "ab")
    assert nothing.ap == 0.0


def test_a_class_that_does_not_occur_does_not_count():
    measured = detection_accuracy(
        [found([[10, 10, 50, 50]], [0.9], [0])], [truth([[10, 10, 50, 50]], [0])], "ab"
    )
    assert measured.ap == pytest.approx(1.0)
    assert measured.by_class[1].ap is None


def test_ignored_boxes_are_neither_found_nor_missed():
    boxes = [[10, 10, 50, 50], [60, 60, 90, 90]]
    labelled = [truth(boxes, [0, 0], [False, True])]
    for detections in (found(boxes, [0.8, 0.9], [0, 0]), found(boxes[:1], [0.8], [0])):
        measured = detection_accuracy([detections], labelled, "a")
        assert (measured.ap, measured.boxes) == (pytest.approx(1.0), 1)


def test_pictures_without_objects_alone_cannot_be_measured():
    with pytest.raises(InputError, match="no precision"):
        detection_accuracy([found([], [], [])], [truth([], [])], "a")


def outputs(*pictures: Detections) -> dict[str, np.ndarray]:
    """As a model gives them: padded with rows of score 0."""
    most = max(len(each) for each in pictures) + 1
    boxes = np.zeros((len(pictures), most, 4), np.float32)
    scores, classes = np.zeros(boxes.shape[:2], np.float32), np.zeros(boxes.shape[:2], np.int64)
    for place, each in enumerate(pictures):
        boxes[place, : len(each)], scores[place, : len(each)] = each.boxes, each.scores
        classes[place, : len(each)] = each.labels
    return {"boxes": boxes, "scores": scores, "classes": classes}


def test_agreement_pairs_objects_of_one_class_within_limits():
    first = outputs(found([[10, 10, 50, 50], [60, 60, 90, 90]], [0.9, 0.5], [0, 1]))
    close = outputs(found([[60.4, 60, 90, 90], [10, 10, 50, 50]], [0.5004, 0.9], [1, 0]))
    same = compare_boxes(first, close, "float32", 1)
    assert (same.objects, same.share, same.holds) == (4, 1.0, True)
    assert same.score_difference == pytest.approx(4e-4, abs=1e-5)
    empty = outputs(found([], [], []))
    assert compare_boxes(empty, empty, "float32", 1).holds


@pytest.mark.parametrize(
    "other",
    [
        found([[10, 10, 50, 50]], [0.9], [1]),  # another class
        found([[11.5, 10, 50, 50]], [0.9], [0]),  # more than a pixel away
        found([[10, 10, 50, 50]], [0.902], [0]),  # another score
        found([], [], []),
    ],
)
def test_agreement_fails_by_name(other):
    first = outputs(found([[10, 10, 50, 50]], [0.9], [0]))
    compared = compare_boxes(first, outputs(other), "float32", 1)
    assert not compared.holds
    assert "objects are found by both; 99.5 % must be" in compared.failures()[0]


def test_an_int8_variant_may_move_boxes():
    first = outputs(found([[10, 10, 50, 50]], [0.9], [0]))
    moved = outputs(found([[13, 10, 50, 50]], [0.8], [0]))
    assert compare_boxes(first, moved, "int8", 1).holds
    assert not compare_boxes(first, moved, "float32", 1).holds


def test_a_quantized_form_loses_points_of_ap50():
    boxes = [[10, 10, 50, 50], [60, 60, 90, 90]]
    labels = packed_boxes([truth(boxes, [0, 1])] * 4)
    right, wrong = found(boxes, [0.9, 0.8], [0, 1]), found(boxes[:1], [0.9], [0])
    expected = outputs(right, right, right, right)
    same = BoxDrop.of(expected, expected, labels)
    assert same.points == 0
    assert same.to_json()["float_top1"] == pytest.approx(1.0)
    drop = BoxDrop.of(expected, outputs(right, right, wrong, wrong), labels)
    low, high = drop.interval
    # of class 1 half of the boxes are found: 51 of 101 recalls have a precision of 1
    assert drop.points == pytest.approx(100 * (1 - 51 / 101) / 2, abs=0.01)
    assert low < drop.points < high
    assert box_error(expected, expected) == pytest.approx(0, abs=1e-6)
    assert box_error(expected, outputs(wrong, wrong, wrong, wrong)) > 0.2

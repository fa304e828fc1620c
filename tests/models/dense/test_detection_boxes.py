"""Overlaps and static suppression, against plain greedy suppression."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgevit.models.dense.box_geometry import generalised_overlap, overlap_matrix, suppress


def greedy(boxes: np.ndarray, classes: np.ndarray, limit: float) -> list[bool]:
    """As every textbook has it; boxes are best first."""
    kept: list[int] = []
    for place, (left, top, right, bottom) in enumerate(boxes):
        for other in kept:
            if classes[other] != classes[place]:
                continue
            ol, ot, or_, ob = boxes[other]
            width, height = min(right, or_) - max(left, ol), min(bottom, ob) - max(top, ot)
            common = max(0.0, width) * max(0.0, height)
            union = (right - left) * (bottom - top) + (or_ - ol) * (ob - ot) - common
            if common / union > limit:
                break
        else:
            kept.append(place)
    return [place in kept for place in range(len(boxes))]


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0, 60, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(10, 40, (count, 2))], axis=1).astype("f4")


@pytest.mark.parametrize("seed", range(5))
def test_suppression_keeps_what_greedy_suppression_keeps(seed):
    rng = np.random.default_rng(seed)
    boxes, classes = random_boxes(rng, 120), rng.integers(0, 2, 120)
    kept = suppress(torch.from_numpy(boxes)[None], torch.from_numpy(classes)[None], 0.5, rounds=12)
    assert kept[0].bool().tolist() == greedy(boxes, classes, 0.5)


def test_a_box_that_was_suppressed_suppresses_none():
    row = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    kept = suppress(row[None], torch.zeros(1, 3, dtype=torch.long), 0.4, rounds=2)
    assert kept[0].tolist() == [1, 0, 1]


def test_overlaps():
    one = torch.tensor([[0.0, 0, 10, 10]])
    others = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10], [3, 3, 3, 3]])
    assert overlap_matrix(one, others)[0].tolist() == pytest.approx([1, 1 / 3, 0, 0], abs=1e-6)
    # hull 15x10, union 150: GIoU = IoU; far away: hull 30x10, union 200
    far = generalised_overlap(one, others[:3])
    assert far.tolist() == pytest.approx([1, 1 / 3, -1 / 3], abs=1e-6)

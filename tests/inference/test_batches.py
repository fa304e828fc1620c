"""The one loop over pictures: every picture once, whatever batch the model takes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from edgevit.inference.agreement import LabelledEvalSet
from edgevit.inference.batches import Resized, Selected, infer_all, infer_batches
from edgevit.inference.runner import Array
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import TensorSpec


class Echo:
    """Gives of every picture its first value: once, in three rows, and a table of the model's."""

    def __init__(self, batch: int | str) -> None:
        self.inputs = (TensorSpec("image", "uint8", (batch, 4, 4, 3)),)
        self.outputs = ()
        self.sizes: list[int] = []

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        pictures = feeds["image"]
        self.sizes.append(len(pictures))
        first = pictures[:, 0, 0, :1].astype(np.float32)
        return {"logits": first, "rows": np.repeat(first, 3, axis=0), "table": np.arange(7.0)}

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


PICTURES = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((4, 4, 3), np.uint8)


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1] * 10), (4, [4, 4, 4]), ("batch", [8, 8])])
def test_every_picture_is_answered_once(batch: int | str, sizes: list[int]) -> None:
    runner = Echo(batch)
    found = infer_all(runner, PICTURES, ("logits", "rows"))
    assert runner.sizes == sizes
    np.testing.assert_array_equal(found["logits"][:, 0], np.arange(10))
    assert found["rows"].shape == (10, 3, 1)
    np.testing.assert_array_equal(found["rows"][:, 2, 0], np.arange(10))
    assert set(found) == {"logits", "rows"}


def test_what_does_not_depend_on_the_batch_stays_whole() -> None:
    *_, last = infer_batches(Echo(4), PICTURES)
    assert len(last["logits"]) == 2
    assert len(last["rows"]) == 6
    assert len(last["table"]) == 7


def test_pictures_are_read_when_they_are_asked_for() -> None:
    of_any_size = [np.full((9 + i, 5, 3), i, np.uint8) for i in range(5)]
    resized = Resized(of_any_size, Preprocess(4))
    chosen = Selected(resized, np.array([4, 0, 2]))
    assert len(chosen) == 3
    np.testing.assert_array_equal(
        infer_all(Echo(2), chosen, ("logits",))["logits"][:, 0], [4, 0, 2]
    )


def test_a_part_of_an_evaluation_set_is_spread_evenly() -> None:
    logits = np.arange(10, dtype=np.float32)[:, None]
    everything = LabelledEvalSet(PICTURES, {"logits": logits}, "made", np.arange(10))
    few = everything.part(everything.spread(4))
    assert few.labels.tolist() == [0, 3, 6, 9]
    np.testing.assert_array_equal(few.expected["logits"][:, 0], few.labels)
    np.testing.assert_array_equal(few.pictures[[1, 3]][:, 0, 0, 0], [3, 9])
    assert everything.spread(99).tolist() == list(range(10))

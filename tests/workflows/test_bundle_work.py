"""A model's bundle edited, measured and judged by the model's own methods."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgevit
from edgevit.images.image_io import Image
from edgevit.workflows.evaluate import evaluate
from edgevit.zoo import PREBUILT_BUNDLE
from support.zoo import float_copy


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of the shipped bundle, which may be edited."""
    return float_copy(tmp_path / "own.edgevit")


def test_an_edit_is_used_from_the_next_call_on(own: Path, photos: list[Image]) -> None:
    with edgevit.load(own) as model:
        before, session = model(photos[0]), model.classifier()
        compiled = model.compile("onnxruntime")
        assert compiled.variant in model.bundle.manifest.variants
        assert compiled.to_dict()
        assert model.classifier() is not session
        assert model(photos[0]).top(3)[0].label == before.label
        with pytest.raises(edgevit.InputError, match="was closed"):
            next(session.logits(photos[:1]))
        assert before.superpixels is not None, "older results go on with the new sessions"


def test_an_edit_that_fails_leaves_the_model_as_it_was(
    own: Path, photos: list[Image], tmp_path: Path
) -> None:
    with edgevit.load(own) as model:
        session = model.classifier()
        for edit in (
            lambda: model.quantize(tmp_path / "nowhere"),
            lambda: model.compile("toaster"),
        ):
            with pytest.raises(edgevit.InputError):
                edit()
        assert model.classifier() is session
        assert model(photos[2]).label == "espresso"
    with pytest.raises(edgevit.InputError, match="was closed"):
        model.compile("onnxruntime")


def test_what_only_reads(answered: Path) -> None:
    with edgevit.load("lla_tiny", variant="float") as model:
        found = model.evaluate(answered / "val").to_dict()
        assert found["top1"]["right"] == found["top1"]["of"], "labelled by this very model"
        by_function = evaluate(model.bundle, answered / "val", variant="float").to_dict()
        assert found["top1"] == by_function["top1"]
        assert model.verify(count=4).holds
        assert model.profile(variants=["float"], runs=3).to_dict()
        assert model.inspect().to_dict()["model"]["name"] == "lla_tiny"


def test_the_bundle_that_was_installed_is_never_edited(photo_folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in PREBUILT_BUNDLE.iterdir()}
    with edgevit.load("lla_tiny") as model:
        for edit in (model.compile, lambda: model.quantize(photo_folder)):
            with pytest.raises(edgevit.InputError, match="Make one of your own"):
                edit()
    assert {file.name: file.read_bytes() for file in PREBUILT_BUNDLE.iterdir()} == before

"""How pictures are prepared is said once: training, its weights, the bundle and answers obey it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import edgevit as library
from edgevit.common.errors import InputError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.models.build import build
from edgevit.workflows.export import export
from edgevit.workflows.train import train
from edgevit.zoo.input_options import InputOptions
from edgevit.zoo.registry import find
from support import Command


@pytest.mark.slow
def test_from_training_to_answers(tmp_path: Path, photos: list[Image], edgevit: Command) -> None:
    for label, photo in zip("ab", photos, strict=False):
        for number in range(10):
            folder = tmp_path / "images" / label
            folder.mkdir(parents=True, exist_ok=True)
            image_io.write(folder / f"{number}.png", np.roll(photo[:64, :96], 7 * number, axis=1))
    said = {"preprocess": "inception", "resize": "crop", "crop_pct": 0.75}
    options = {"epochs": 1, "batch": 8, "warmup_epochs": 0.0, "threads": 1}
    run = tmp_path / "run"
    trained = train("vit_tiny_32", data=tmp_path / "images", output=run, **said, **options)
    with pytest.raises(InputError, match="is of another run: preprocess was"):
        train(
            "vit_tiny_32",
            data=tmp_path / "images",
            output=run,
            resume=True,
            **{**said, "preprocess": "clip"},
            **options,
        )
    target = tmp_path / "v.edgevit"
    ended = edgevit(
        "export", "--model", "vit_tiny_32", "--checkpoint", trained.weights, "-o", target, "--json"
    )
    assert ended.code == 0, ended.err
    prepared = json.loads(ended.out)["preprocess"]
    assert prepared["mean"] == [0.5, 0.5, 0.5]
    assert (prepared["resize"], prepared["crop_pct"]) == ("crop", 0.75)
    spec = InputOptions(**said).applied_to(find("vit_tiny_32").spec.with_classes(2))
    module = build(spec).eval()
    with library.load(target) as model:
        module.load_state_dict(library_weights(trained.weights), strict=False)
        with torch.inference_mode():
            seen = torch.from_numpy(image_io.batch(photos, spec.preprocess))
            expected = module(seen).softmax(1).numpy()
        got = np.stack([found.probabilities for found in model(photos)])
    np.testing.assert_allclose(got, expected, atol=1e-4)


def library_weights(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {key: value.float() for key, value in load_file(path).items()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_pct": 0.9}, "give 'resize' crop with it"),
        ({"resize": "fold"}, "'resize' got 'fold'"),
        ({"preprocess": "caffe"}, "'preprocess' got 'caffe'"),
        ({"preprocess": "clip", "std": 0.5}, "a preset has its own numbers"),
        ({"std": [0.5, 0, 0.5]}, "so it is above 0"),
        ({"mean": [0.5, 0.5]}, "'mean' got 2 numbers"),
    ],
)
def test_what_cannot_be_used_is_refused_before_the_work(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    for work in (
        lambda: export("vit_tiny_32", tmp_path / "v.edgevit", **options),
        lambda: train("vit_tiny_32", data=tmp_path, output=tmp_path / "run", **options),
    ):
        with pytest.raises(InputError, match=message):
            work()
    assert list(tmp_path.iterdir()) == []


def test_a_module_was_built_for_its_input(tmp_path: Path) -> None:
    module = build(find("vit_tiny_32").spec)
    with pytest.raises(InputError, match=r"a module and 'mean', 'image_px'; a module was built"):
        export(module, tmp_path / "v.edgevit", mean=0.5, image_px=64)

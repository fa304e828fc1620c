"""Feature maps, of every model that has some: for detection, segmentation and guidance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgevit.bundle.bundle import Bundle
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.models.build import build
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import find
from edgevit.zoo.spec import VitSpec
from edgevit_export.convert.torch_runner import TorchRunner
from edgevit_export.convert.weights import load_model
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support import Command, write_png


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("lavit_tiny_128", marks=pytest.mark.slow),
        pytest.param("lavit_tiny_32", marks=pytest.mark.slow),
        pytest.param("vit_tiny_32", marks=pytest.mark.slow),
    ],
)
def test_features_take_the_same_road(
    name: str, tmp_path: Path, photos: list[Image], edgevit: Command
) -> None:
    target = tmp_path / "features.edgevit"
    ended = edgevit("export", "--model", name, "--with-features", "--output", target)
    assert ended.code == 0, ended.err
    spec = find(name).spec
    pictures = image_io.batch(photos[:1], Preprocess(spec.image_px))
    with OnnxRuntimeRunner(Bundle.open(target).variant()) as runner:
        got = runner.infer({"image": pictures})
    assert list(got) == ["logits", *spec.feature_maps]
    expected = TorchRunner(load_model(find(name)).module).infer({"image": pictures})
    for tensor, array in got.items():
        np.testing.assert_allclose(array, expected[tensor], atol=1e-4, err_msg=tensor)
        assert tensor == "logits" or array.shape[1] == spec.feature_maps[tensor]
    photo = write_png(tmp_path / "photo.png", photos[0])
    assert edgevit("run", target, "--json", photo).code == 0
    benched = edgevit("bench", target, "--samples", 3, "--frames", 3, "--warmup", 1)
    assert benched.code == 0, benched.err


def test_a_model_of_superpixels_has_no_features(tmp_path: Path, edgevit: Command) -> None:
    ended = edgevit("export", "--with-features", "--output", tmp_path / "x.edgevit")
    assert ended.code == 2
    assert "has no feature maps" in ended.one_message


def test_the_maps_of_a_vit_are_its_patches_tokens() -> None:
    """The deep one is the mean of squares of four patches, without CLS."""
    module = build(VitSpec("small", 24, 3, 6, image_px=64)).eval()
    with torch.no_grad():
        steps = module.steps(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    assert tuple(steps["stage_3"].shape) == (2, 24, 4, 4)
    patches = steps["encoded"].reshape(2, 17, 24)[:, 1:].reshape(2, 4, 4, 24).permute(0, 3, 1, 2)
    expected = torch.nn.functional.avg_pool2d(patches, 2)
    torch.testing.assert_close(steps["stage_4"], expected)


@pytest.mark.parametrize(
    ("image_px", "patch_px", "maps"),
    [
        (224, 16, ["stage_3", "stage_4"]),
        (32, 4, ["stage_1", "stage_2"]),
        (80, 16, []),  # five patches a side
        (56, 14, []),
        (32, 2, []),
    ],
)
def test_which_maps_a_vit_gives(image_px: int, patch_px: int, maps: list[str]) -> None:
    spec = VitSpec("small", 24, 3, 2, image_px=image_px, patch_px=patch_px)
    assert list(spec.feature_maps) == maps
    steps = build(spec).eval().steps(torch.zeros(1, image_px, image_px, 3, dtype=torch.uint8))
    assert [name for name in steps if name.startswith("stage_")] == maps

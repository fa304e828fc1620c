"""The zoo: sizes are those that torch counts today, and impossible models are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevit.common.errors import InputError
from edgevit.models.build import build
from edgevit.models.count import count, count_spec
from edgevit.zoo import ZOO, registry
from edgevit.zoo.sizes import SIZES_FILE, size_of
from edgevit.zoo.spec import LlaSpec, SuperpixelSpec
from edgevit_export.inspect.count_sizes import write_sizes

LARGE = ("base", "small")  # seconds each to build
ALL = sorted(registry.MODELS)
SIZED = [
    pytest.param(name, marks=pytest.mark.slow if any(x in name for x in LARGE) else [])
    for name in ALL
]


def test_the_file_lists_the_models_of_the_zoo() -> None:
    assert list(json.loads(SIZES_FILE.read_text())) == list(registry.MODELS)


@pytest.mark.parametrize("name", SIZED)
def test_sizes_are_what_torch_counts(name: str) -> None:
    """If it fails: python -m edgevit_export.inspect.count_sizes"""
    assert size_of(name) == count_spec(registry.find(name).spec)


def test_a_module_in_use_is_counted_as_its_spec_is() -> None:
    spec = registry.find("lla_tiny_32").spec.with_classes(10)
    counted = count(build(spec))
    assert counted == count_spec(spec)
    of_1000 = size_of("lla_tiny_32")
    assert of_1000.macs - counted.macs == 192 * 990
    assert of_1000.parameters - counted.parameters == (192 + 1) * 990


def test_counts_are_those_of_a_plain_vit_by_hand() -> None:
    """DeiT-Ti, patches of 16: embedding, and of 12 layers projections, attention and MLP."""
    patches, tokens, width = 14 * 14, 14 * 14 + 1, 192
    of_layer = tokens * 12 * width * width + 2 * tokens * tokens * width
    by_hand = patches * 768 * width + 12 * of_layer + width * 1000
    assert size_of("vit_tiny").macs == by_hand


def test_the_file_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.find("vit_tiny_32")
    monkeypatch.setattr("edgevit_export.inspect.count_sizes.MODELS", {"vit_tiny_32": entry})
    write_sizes(tmp_path / "sizes.json")
    (line,) = [row for row in SIZES_FILE.read_text().splitlines() if '"vit_tiny_32"' in row]
    assert (tmp_path / "sizes.json").read_text() == "{\n" + line.rstrip(",") + "\n}\n"


def test_a_model_that_is_not_listed_names_the_command() -> None:
    with pytest.raises(InputError, match="count_sizes"):
        size_of("nobody")


def test_pooling_first_costs_a_twelfth_of_the_vit() -> None:
    """design figure: 7.7 % with pool before embed at K=16, self-attention; LLA is below it."""
    spec, size = registry.find("lla_tiny_strips").spec, size_of("lla_tiny_strips")
    assert isinstance(spec, LlaSpec)
    without = size.macs - size.superpixel_macs - spec.width * spec.classes
    assert without / size_of("vit_tiny").macs < 0.077


def test_an_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean lla_tiny"):
        registry.find("lla_tinny")


def test_weights_are_named_after_the_model() -> None:
    default, ten = registry.find("lla_tiny"), registry.find("lla_tiny:imagenette")
    assert default.weights == ZOO / "lla_tiny.tiny_imagenet.safetensors"
    assert ten.weights == ZOO / "lla_tiny.imagenette.safetensors"
    assert registry.find("lla_tiny:tiny_imagenet").weights == default.weights
    assert ten.spec == default.spec


@pytest.mark.parametrize("name", [n for n in ALL if registry.MODELS[n].weight_sets])
def test_shipped_weights_are_there_and_small(name: str) -> None:
    for weights in registry.MODELS[name].weight_sets:
        path = registry.find(f"{name}:{weights}").weights
        assert path is not None
        limit = 6e6 if name.startswith("lla") else 22e6
        assert 0 < path.stat().st_size <= limit
        assert path.with_suffix(".md").is_file(), "every file of weights has a model card"


def test_all_weights_together_stay_small() -> None:
    files = [*ZOO.glob("*.safetensors"), *ZOO.glob("*.edgevit/*")]
    assert sum(file.stat().st_size for file in files) <= 60e6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "lla_tiny:cifar",
            "lla_tiny:cifar'. Those of lla_tiny are: lla_tiny:tiny_imagenet, lla_tiny:imagenette",
        ),
        ("lla_small:imagenette", "It ships none for lla_small"),
        ("lla_tinny:imagenette", "Did you mean lla_tiny"),
    ],
)
def test_weights_that_are_not_shipped_name_those_that_are(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        registry.find(name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_px": 225}, "whole number of patches"),
        ({"heads": 5}, "not divisible by 5 heads"),
        ({"superpixels": SuperpixelSpec(grid=(4, 4), cell_px=5)}, "whole number of cells"),
        ({"superpixels": SuperpixelSpec(grid=(15, 15))}, "only 196 patches"),
        ({"superpixels": SuperpixelSpec(grid=(4, 4), iterations=0)}, "at least one must be fine"),
        ({"superpixels": SuperpixelSpec((4, 4), coarse_iterations=3)}, "at least one must be fine"),
        ({"superpixels": SuperpixelSpec((4, 4), cell_px=16)}, "an even number of cells"),
        ({"superpixels": SuperpixelSpec(grid=(4, 4), relaxation=2.0)}, "below 2"),
    ],
)
def test_an_impossible_model_is_refused_when_it_is_named(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        LlaSpec(**{"name": "odd", "width": 192, "heads": 3, "depth": 12, **changes})

"""Sizes are counted without torch, and the counts are those of the torch modules."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edgevit.common.errors import InputError
from edgevit.models.build import build
from edgevit.zoo import complexity, registry
from edgevit.zoo.spec import LlaSpec, SuperpixelSpec

ALL = sorted(registry.MODELS)


@pytest.mark.parametrize("name", ALL)
def test_parameters_are_the_modules(name: str) -> None:
    spec = registry.find(name).spec
    with torch.device("meta"):
        counted = sum(p.numel() for p in build(spec).parameters())
    assert complexity.parameters(spec) == counted


@pytest.mark.parametrize("name", [n for n in ALL if "base" not in n])
def test_macs_are_what_torch_counts(name: str) -> None:
    spec = registry.find(name).spec
    size = spec.image_px
    picture = torch.zeros((1, size, size, 3), dtype=torch.uint8)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        build(spec)(picture)
    assert sum(complexity.macs(spec).values()) == counter.get_total_flops() / 2


def test_pooling_first_costs_a_twelfth_of_the_vit() -> None:
    """design figure: 7.7 % with pool before embed at K=16, self-attention; LLA is below it."""
    parts = complexity.macs(registry.find("lla_tiny").spec)
    vit = sum(complexity.macs(registry.find("vit_tiny").spec).values())
    without = sum(parts.values()) - parts["superpixels"] - parts["head"]
    assert without / vit < 0.077


def test_an_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="Did you mean lla_tiny"):
        registry.find("lla_tinny")


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

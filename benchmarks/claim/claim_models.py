"""The models that ``claims.py`` compares, at 128 pixels; within a family, one recipe."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from edgevit.zoo.registry import find
from edgevit.zoo.spec import LavitSpec, LlaSpec, ModelSpec, SuperpixelSpec

SIZE_PX = 128
CLASSES = 10
BASELINE = "vit"
# What things cost is also told at the papers' size, by models of the zoo; it needs no training.
FULL_BASELINE, FULL_LIGHT = "vit_tiny", "lla_tiny_strips"

# Few epochs: mild augmentation and many steps, or no model would get anywhere.
_MILD: dict[str, Any] = {"batch": 64, "mix": 0.0, "random_strength": 0.2}
RECIPE: dict[str, Any] = {**_MILD, "warmup_epochs": 1.0}
# LaViT as it is shipped: guided by the teacher's feature maps.
LAVIT_RECIPE: dict[str, Any] = {**_MILD, "guidance": 10.0}


@dataclass(frozen=True)
class Contender:
    """A model of the comparison.

    family: models are compared within one. recipe: what differs from the default recipe.
    longer: how many times the common number of epochs.
    """

    label: str
    family: str
    spec: ModelSpec
    recipe: dict[str, Any] = field(default_factory=lambda: RECIPE)
    longer: int = 1

    @property
    def key(self) -> str:
        """A name for files."""
        return self.spec.name


def _superpixel(name: str, label: str, grid: int = 4, longer: int = 1, **options: Any) -> Contender:
    spec = find("lla_tiny_strips").spec
    assert isinstance(spec, LlaSpec)
    superpixels = SuperpixelSpec((grid, grid))
    changed = replace(spec, name=name, image_px=SIZE_PX, superpixels=superpixels, **options)
    return Contender(label, "superpixels", changed.with_classes(CLASSES), longer=longer)


def _lavit(
    name: str, label: str, recipe: dict[str, Any] | None = None, **options: Any
) -> Contender:
    spec = find("lavit_tiny_128").spec
    assert isinstance(spec, LavitSpec)
    changed = replace(spec, name=name, **options)
    return Contender(label, "lavit", changed.with_classes(CLASSES), LAVIT_RECIPE | (recipe or {}))


def _vanilla_stages() -> tuple[Any, ...]:
    spec = find("lavit_tiny_128").spec
    assert isinstance(spec, LavitSpec)
    return tuple(replace(stage, less=0) for stage in spec.stages)


_VIT = replace(find("vit_tiny").spec, name=BASELINE, image_px=SIZE_PX).with_classes(CLASSES)

CONTENDERS = (
    Contender("plain ViT", "superpixels", _VIT),
    _superpixel("sppp_k16", "SPPP, K=16", wiring="self"),
    _superpixel("sppp_k49", "SPPP, K=49", grid=7, wiring="self"),
    _superpixel("sppp_k64", "SPPP, K=64", grid=8, wiring="self"),
    _superpixel("carry_l8", "LLA carry, K=16, L=8"),
    _superpixel("carry_l8_long", "LLA carry, K=16, L=8, four times the epochs", longer=4),
    _superpixel("carry_l16", "LLA carry, K=16, L=16", latents=16),
    _superpixel("carry_k49", "LLA carry, K=49, L=8", grid=7),
    _superpixel(
        "carry_k49_l16",
        "LLA carry, K=49, L=16, keys of its own in every layer",
        grid=7,
        latents=16,
        layers_per_reading=1,
    ),
    _superpixel("writeback_l8", "LLA writeback, K=16, L=8", wiring="writeback"),
    _superpixel("writeback_l16", "LLA writeback, K=16, L=16", wiring="writeback", latents=16),
    _superpixel("carry_linear", "LLA carry, K=16, L=8, linear stem", stem="linear"),
    _superpixel("carry_moments", "LLA carry, K=16, L=8, moments stem", stem="moments"),
    _lavit("lavit", "LaViT"),
    _lavit("lavit_vanilla", "LaViT, vanilla attention everywhere", stages=_vanilla_stages()),
    _lavit(
        "lavit_printed", "LaViT as printed: no convolutions", local_perception=False, stem="patch"
    ),
    _lavit("lavit_no_residual", "LaViT without the residual", residual="none"),
    _lavit("lavit_no_loss", "LaViT without the diagonality loss", {"diagonality": "off"}),
)


def find_contender(key: str) -> Contender:
    """The contender of that name, or the model of the zoo at its own size.

    Raises:
        InputError: there is neither.
    """
    found = next((entry for entry in CONTENDERS if entry.key == key), None)
    return found or Contender(key, "zoo", find(key).spec.with_classes(CLASSES))

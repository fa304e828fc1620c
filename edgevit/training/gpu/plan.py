"""What is trained on a GPU, most useful first; every run names its own data, recipe and start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from edgevit.training.recipe import Recipe
from edgevit.zoo.registry import find
from edgevit.zoo.spec import (
    ConvolutionalSpec,
    LavitSpec,
    LlaSpec,
    ModelSpec,
    SuperpixelSpec,
    VitSpec,
)

TINY_IMAGENET, IMAGENETTE = "tiny_imagenet", "imagenette"
Teacher = Literal["imagenet", "adapted", "none"]

SHIPPED_LAVIT = "lavit_tiny_128.shipped"
HELD_OUT_CLASSES = 10
FEW_PICTURES = 20


@dataclass(frozen=True)
class Run:
    """One training.

    spec: the model at the size that it is trained at. answer_px: the size that it is validated at.
    data: a set of shards. classes: how many of its classes are used, from the ``first_class`` on;
        None: all. per_class: how many training pictures of each; None: all.
    init: the run whose weights it starts from, or weights that ``pack --weights`` added.
    teacher: who answers for every picture as the student sees it: the network as ImageNet made
        it, the one that was trained on the run's own set (``adapt-teacher``), or nobody.
    keeps_weights: whether weights are a result, and not only the line of the log.
    """

    name: str
    spec: ModelSpec
    data: str
    recipe: Recipe
    answer_px: int
    init: str | None = None
    first_class: int = 0
    classes: int | None = None
    per_class: int | None = None
    teacher: Teacher = "imagenet"
    keeps_weights: bool = True
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def answering_spec(self) -> ModelSpec:
        """The model that is validated and saved."""
        if self.answer_px == self.spec.image_px:
            return self.spec
        return self.spec.at_size(self.answer_px)


_PRETRAIN = Recipe(
    epochs=120,
    batch=512,
    learning_rate=2e-3,
    warmup_epochs=3,
    label_smoothing=0.0,
    random_ops=1,
    random_strength=0.3,
    erase=0.1,
    mix=0.3,
    crop_area=(0.3, 1.0),
    clean_epochs=4,
    teacher_weight=0.7,
)
_FINE = Recipe(epochs=150, batch=256, learning_rate=1e-3, clean_epochs=10, teacher_weight=0.8)
_PROBE = Recipe(epochs=30, batch=256, learning_rate=2e-3, clean_epochs=4)
_LARGE_PROBE = replace(_PROBE, batch=64, learning_rate=1e-3)
_LAVIT_PRETRAIN = replace(_PRETRAIN, epochs=30, learning_rate=1e-3, guidance=2.0)
_LAVIT_FINE = replace(
    _FINE,
    epochs=120,
    learning_rate=5e-4,
    guidance=5.0,
    label_smoothing=0.0,
    random_strength=0.3,
    mix=0.3,
)
_FEW = Recipe(epochs=100, batch=64, learning_rate=5e-4, clean_epochs=10)

SEEDS = (0, 1, 2)


def plan() -> list[Run]:
    """Every run, in the order of its use."""
    return [
        *_model("lla_tiny", train_px=128),
        *_model("lavit_tiny_128", train_px=128, init=SHIPPED_LAVIT),
        _pretraining("lla_micro", train_px=64),
        *_model("mobilenet_v3_small", train_px=176),
        *_model("vit_tiny", train_px=224),
        *_regions_and_latents(),
        *_small_pictures(),
        *_transfer(),
        *_model("lla_small", train_px=160),
    ]


def run_named(name: str) -> Run:
    """Raises KeyError where the plan has none of that name."""
    return {run.name: run for run in plan()}[name]


def _model(name: str, train_px: int, init: str | None = None) -> Iterator[Run]:
    """Two hundred classes, then the ten, from those weights.

    The pictures of the two hundred have 64 pixels, so more than 128 would show nothing new.
    """
    lavit = isinstance(find(name).spec, LavitSpec)
    first = _pretraining(name, min(train_px, 128), init)
    yield first
    yield replace(
        first,
        name=f"{name}.10",
        spec=_at(name, train_px),
        data=IMAGENETTE,
        recipe=_LAVIT_FINE if lavit else _FINE,
        init=first.name,
        teacher="imagenet",
    )


def _pretraining(name: str, train_px: int, init: str | None = None) -> Run:
    own = find(name).spec
    return Run(
        f"{name}.200",
        _at(name, train_px),
        TINY_IMAGENET,
        _LAVIT_PRETRAIN if isinstance(own, LavitSpec) else _PRETRAIN,
        own.image_px,
        init,
        teacher="adapted",
    )


def _at(name: str, size_px: int) -> ModelSpec:
    spec = find(name).spec
    return spec if size_px == spec.image_px else spec.at_size(size_px)


def _regions_and_latents() -> Iterator[Run]:
    """The same trunk with superpixels, with squares, and with a plain mean; three seeds each.

    Without a teacher and from random weights: what is compared is all that differs. Places of the
    map that are pooled: 100, at 64 pixels 64, at stride 8 and 128 pixels 256, at 320 pixels 400,
    where a batch is smaller, for a processor's caches.
    """
    tiny, micro = find("lla_tiny").spec, find("lla_micro").spec
    assert isinstance(tiny, LlaSpec)
    assert isinstance(micro, LlaSpec)
    cases = {
        "ab": (tiny, (5, 7)),
        "ab.64px": (micro, (4, 5)),
        "ab.stride8": (micro.at_size(128), (5, 7)),
        "ab.320px": (tiny.at_size(320), (5, 7)),
    }
    for case, (spec, grids) in cases.items():
        probe = _LARGE_PROBE if spec.image_px > 224 else _PROBE
        yield from _compared(case, dict(_poolings(spec, grids)), IMAGENETTE, probe)


def _poolings(spec: LlaSpec, grids: tuple[int, ...]) -> Iterator[tuple[str, ModelSpec]]:
    """Ways to pool the trunk's map, by name; superpixels and squares a side."""
    assert spec.trunk is not None
    for side in grids:
        superpixels = replace(spec.superpixels, grid=(side, side))
        yield f"superpixels_k{side**2}", replace(spec, superpixels=superpixels)
        squares = replace(spec, superpixels=superpixels, pooling="squares")
        yield f"squares_k{side**2}", squares
    yield "mean", ConvolutionalSpec("mean", spec.trunk, image_px=spec.image_px)


def _small_pictures() -> Iterator[Run]:
    """SPPP and LLA against a plain ViT on 64 pixels, from random weights: the paper's own case.

    All have patches of 8 pixels, so the ViT has 64 tokens and the others 16 superpixels of them;
    ``lla_micro`` shows what a convolutional stem adds.
    """
    vit, strips = find("vit_tiny").spec, find("lla_tiny_strips").spec
    assert isinstance(vit, VitSpec)
    assert isinstance(strips, LlaSpec)
    superpixels = SuperpixelSpec((4, 4), cell_px=2)
    lla = replace(strips, image_px=64, patch_px=8, superpixels=superpixels)
    models: dict[str, ModelSpec] = {
        "vit": replace(vit, image_px=64, patch_px=8),
        "sppp": replace(lla, wiring="self"),
        "lla": lla,
        "lla_linear": replace(lla, stem="linear"),
        "lla_micro": find("lla_micro").spec,
    }
    yield from _compared("small", models, TINY_IMAGENET, _PROBE)


def _compared(
    case: str, variants: Mapping[str, ModelSpec], data: str, recipe: Recipe
) -> Iterator[Run]:
    """Every variant with every seed, without a teacher and from random weights."""
    for seed in SEEDS:
        for name, spec in variants.items():
            yield Run(
                f"{case}.{name}.seed{seed}",
                spec,
                data,
                replace(recipe, seed=seed),
                spec.image_px,
                teacher="none",
                keeps_weights=False,
                facts={"variant": name},
            )


def _transfer() -> Iterator[Run]:
    """Whether pretraining helps with few pictures of classes that it never saw."""
    whole = _pretraining("lla_tiny", 128)
    known = 200 - HELD_OUT_CLASSES
    before = replace(whole, name="transfer.pretraining", classes=known)
    yield before
    for seed in SEEDS:
        recipe = replace(_FEW, seed=seed)
        few = replace(
            whole,
            recipe=recipe,
            first_class=known,
            classes=HELD_OUT_CLASSES,
            per_class=FEW_PICTURES,
            teacher="none",
            keeps_weights=False,
        )
        yield replace(few, name=f"transfer.scratch.seed{seed}")
        yield replace(few, name=f"transfer.pretrained.seed{seed}", init=before.name)

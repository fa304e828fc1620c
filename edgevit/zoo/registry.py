"""The zoo by name: hyperparameters, shipped weights. Importable without torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError
from edgevit.zoo import ZOO
from edgevit.zoo.dense_spec import LavitSegmenterSpec, LlaSegmenterSpec
from edgevit.zoo.detector_spec import LavitDetectorSpec
from edgevit.zoo.spec import (
    ConvolutionalSpec,
    LavitSpec,
    LlaSpec,
    ModelSpec,
    StageSpec,
    SuperpixelSpec,
    VitSpec,
)
from edgevit.zoo.trunk_spec import TrunkSpec
from edgevit.zoo.trunks import (
    LLA_MICRO,
    LLA_SMALL,
    LLA_TINY,
    LLA_TINY_DENSE,
    MOBILENET_V3_SMALL,
)

WEIGHTS_PACKAGE = "edgevit_weights"


@dataclass(frozen=True)
class ModelEntry:
    """A model of the zoo.

    weight_sets: names of the weights that the package ships, by the data that they were trained
        on; the first is the default. chosen: one of them.
    starts_from: shipped weights that its training starts from where no others are given.
    """

    spec: ModelSpec
    summary: str
    weight_sets: tuple[str, ...] = ()
    chosen: str | None = None
    starts_from: str | None = None

    @property
    def weights(self) -> Path | None:
        """The checkpoint that the package ships, or None."""
        name = self.chosen or next(iter(self.weight_sets), None)
        return None if name is None else _shipped(f"{self.spec.name}.{name}.safetensors")

    @property
    def name(self) -> str:
        """As :func:`find` takes it: ``MODEL``, or ``MODEL:WEIGHTS`` where weights were chosen."""
        return f"{self.spec.name}:{self.chosen}" if self.chosen else self.spec.name

    @property
    def file_stem(self) -> str:
        """The name as a part of file names."""
        return self.name.replace(":", "-")


def _shipped(file: str) -> Path:
    """Where weights lie: here, or in the wheel ``edgevit-weights`` beside a device's wheel."""
    path = ZOO / file
    if path.exists():
        return path
    weights = find_spec(WEIGHTS_PACKAGE)
    folders = (weights.submodule_search_locations or []) if weights else []
    return next((Path(folder) / file for folder in folders), path)


_K16 = SuperpixelSpec(grid=(4, 4))
_K49 = SuperpixelSpec(grid=(7, 7))
_K25 = SuperpixelSpec(grid=(5, 5))
_K36 = SuperpixelSpec(grid=(6, 6))
_K16_OF_64 = SuperpixelSpec(grid=(4, 4), cell_px=2)
_K16_OF_32 = SuperpixelSpec(grid=(4, 4), cell_px=1)

_WIDTHS, _HEADS = (64, 128, 320, 512), (1, 2, 5, 8)
_PATCHES, _REDUCTIONS = (4, 2, 2, 2), (8, 4, 1, 1)


def _lavit_stages(layers: tuple[int, ...], less: tuple[int, ...]) -> tuple[StageSpec, ...]:
    """The four stages of the paper's figure 1, by how deep they are."""
    facts = zip(_WIDTHS, _HEADS, layers, less, _PATCHES, _REDUCTIONS, strict=True)
    return tuple(StageSpec(*fact) for fact in facts)


def _lavit(name: str, stages: tuple[StageSpec, ...], **options: Any) -> LavitSpec:
    """Ours: with convolutions, which few training images need (docs/models.md)."""
    return LavitSpec(name, stages, local_perception=True, stem="convolution", **options)


_LAVIT_TINY = _lavit_stages((2, 2, 2, 2), (0, 0, 1, 1))
_LAVIT_OF_32 = (
    StageSpec(64, 2, 2, 0),
    StageSpec(128, 4, 4, 2),
    StageSpec(256, 8, 2, 1),
)


def _lavit_segmenter(name: str, stages: tuple[StageSpec, ...], image_px: int) -> LavitSegmenterSpec:
    """Squashed: no pixel of the input is spent on grey bars."""
    backbone = _lavit(f"{name}_backbone", stages, image_px=image_px)
    return LavitSegmenterSpec(name, backbone, image_px=image_px, classes=11, resize="squash")


def _lavit_detector(name: str, stages: tuple[StageSpec, ...], image_px: int) -> LavitDetectorSpec:
    backbone = _lavit(f"{name}_backbone", stages, image_px=image_px)
    return LavitDetectorSpec(name, backbone, image_px=image_px, classes=80)


def _lla_segmenter(name: str, **options: Any) -> LlaSegmenterSpec:
    """256 superpixels, outlined at a quarter of the resolution."""
    return LlaSegmenterSpec(
        name,
        128,
        4,
        3,
        image_px=256,
        classes=11,
        resize="squash",
        mlp_ratio=2,
        patch_px=LLA_TINY_DENSE.stride,
        stem="convolution",
        trunk=LLA_TINY_DENSE,
        superpixels=SuperpixelSpec(grid=(16, 16)),
        latents=16,
        wiring="writeback",
        **options,
    )


def _lla(
    name: str, trunk: TrunkSpec, width: int, heads: int, depth: int, **options: Any
) -> LlaSpec:
    """A convolutional trunk, superpixels of its map, and a few layers of latents."""
    return LlaSpec(
        name,
        width,
        heads,
        depth,
        mlp_ratio=2,
        patch_px=trunk.stride,
        stem="convolution",
        trunk=trunk,
        picture_latents=True,
        layers_per_reading=depth,
        **options,
    )


_ENTRIES = (
    ModelEntry(
        _lla("lla_tiny", LLA_TINY, 192, 3, 3, image_px=160, superpixels=_K25),
        "superpixel ViT: convolutional trunk, 25 superpixels, 8 latents; the default",
        ("tiny_imagenet", "imagenette"),
    ),
    ModelEntry(
        _lla("lla_small", LLA_SMALL, 256, 4, 4, image_px=192, superpixels=_K36),
        "lla_tiny, wider and deeper",
    ),
    ModelEntry(
        _lla("lla_micro", LLA_MICRO, 128, 2, 3, image_px=64, superpixels=_K16_OF_64),
        "lla_tiny for small pictures: 16 superpixels",
        ("tiny_imagenet",),
    ),
    ModelEntry(
        LlaSpec(
            "lla_tiny_strips", 192, 3, 12, superpixels=_K49, stem="strips", layers_per_reading=4
        ),
        "superpixel ViT without a trunk, 49 superpixels, keys shared by four layers",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_k49", 192, 3, 12, superpixels=_K49, latents=16, stem="strips"),
        "lla_tiny_strips with 16 latents and keys for every layer",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_k16", 192, 3, 12, superpixels=_K16, stem="strips"),
        "lla_tiny_strips with 16 superpixels and keys for every layer",
    ),
    ModelEntry(
        LlaSpec("lla_small_strips", 384, 6, 12, superpixels=_K16, stem="strips"),
        "lla_tiny_k16, twice as wide",
    ),
    ModelEntry(
        LlaSpec("lla_base_strips", 768, 12, 12, superpixels=_K16, stem="strips"),
        "lla_tiny_k16, four times as wide",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_soft", 192, 3, 12, superpixels=_K16, stem="strips", pooling="soft"),
        "lla_tiny_k16, patches shared between superpixels by overlap",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_linear", 192, 3, 12, superpixels=_K16),
        "lla_tiny_k16 with the paper's linear embedding: pools raw patches",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_moments", 192, 3, 12, superpixels=_K16, stem="moments"),
        "lla_tiny_linear, second moments of the patches pooled too",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_joint", 192, 3, 12, superpixels=_K16, stem="strips", wiring="joint"),
        "lla_tiny_k16, latents read each other too",
    ),
    ModelEntry(
        LlaSpec(
            "lla_tiny_writeback", 192, 3, 12, superpixels=_K16, stem="strips", wiring="writeback"
        ),
        "lla_tiny_k16, tokens attend through latents and back",
    ),
    ModelEntry(
        LlaSpec("sppp_tiny", 192, 3, 12, superpixels=_K16, stem="strips", wiring="self"),
        "SPPP alone: plain self-attention among 16 superpixels",
    ),
    ModelEntry(
        LlaSpec(
            "lla_tiny_32",
            192,
            3,
            12,
            image_px=32,
            patch_px=4,
            superpixels=_K16_OF_32,
            stem="strips",
        ),
        "lla_tiny_k16 for 32x32 images",
    ),
    ModelEntry(
        _lavit("lavit_tiny", _LAVIT_TINY), "less-attention ViT of four stages, a backbone too"
    ),
    ModelEntry(
        _lavit("lavit_small", _lavit_stages((3, 4, 6, 3), (0, 0, 3, 1))),
        "less-attention ViT, deeper",
    ),
    ModelEntry(
        _lavit("lavit_base", _lavit_stages((3, 3, 18, 3), (0, 0, 9, 1))),
        "less-attention ViT, deepest",
    ),
    ModelEntry(
        _lavit("lavit_tiny_128", _LAVIT_TINY, image_px=128),
        "lavit_tiny for 128x128 images",
        ("imagenette",),
    ),
    ModelEntry(
        _lavit("lavit_tiny_32", _LAVIT_OF_32, image_px=32),
        "less-attention ViT of three stages for 32x32 images",
    ),
    ModelEntry(
        _lavit("lavit_tiny_low_rank", _LAVIT_TINY, transform_rank=32),
        "lavit_tiny, its score transforms of rank 32: cheaper at 224 pixels",
    ),
    ModelEntry(
        LavitSpec("lavit_tiny_printed", _LAVIT_TINY),
        "lavit_tiny as the paper prints it: no convolutions",
    ),
    ModelEntry(
        _lavit_segmenter("lavit_tiny_seg", _LAVIT_TINY, image_px=256),
        "segmentation: a semantic FPN on the stage maps of lavit_tiny",
        starts_from="lavit_tiny_128:imagenette",
    ),
    ModelEntry(
        _lavit_detector("lavit_tiny_det", _LAVIT_TINY, image_px=256),
        "detection: an anchor-free head on the stage maps of lavit_tiny",
        starts_from="lavit_tiny_128:imagenette",
    ),
    ModelEntry(
        _lla_segmenter("lla_tiny_seg"),
        "segmentation: a class for each of 256 superpixels, whose outlines are the answer's",
        ("camvid",),
        starts_from="lla_tiny:imagenette",
    ),
    ModelEntry(
        _lla_segmenter("lla_tiny_seg_squares", pooling="squares"),
        "lla_tiny_seg on squares in the place of superpixels: for comparison",
        starts_from="lla_tiny:imagenette",
    ),
    ModelEntry(
        VitSpec("vit_tiny", 192, 3, 12),
        "plain ViT (DeiT-Ti shape): the baseline",
        ("imagenette",),
    ),
    ModelEntry(
        VitSpec("vit_tiny_32", 192, 3, 12, image_px=32, patch_px=4), "plain ViT for 32x32 images"
    ),
    ModelEntry(VitSpec("vit_small", 384, 6, 12), "plain ViT (DeiT-S shape)"),
    ModelEntry(
        ConvolutionalSpec("mobilenet_v3_small", MOBILENET_V3_SMALL, hidden=1024),
        "MobileNetV3-Small: the baseline among convolutional networks",
        ("imagenette",),
    ),
)

MODELS: dict[str, ModelEntry] = {entry.spec.name: entry for entry in _ENTRIES}


def is_model_name(word: str) -> bool:
    """Whether it names a model of the zoo, with or without weights: ``lla_tiny:imagenette``."""
    return word.partition(":")[0] in MODELS


def did_you_mean(name: str) -> str:
    """`` Did you mean ...?`` with the nearest models' names; empty where none is near."""
    near = difflib.get_close_matches(name, MODELS, n=3, cutoff=0.4)
    return f" Did you mean {', '.join(near)}?" if near else ""


def find(name: str) -> ModelEntry:
    """The entry of ``MODEL`` or ``MODEL:WEIGHTS``, such as ``lla_tiny:imagenette``.

    Raises:
        InputError: there is none; the nearest names are suggested.
    """
    model, colon, weights = name.partition(":")
    if model not in MODELS:
        raise InputError(
            f"Unknown model '{name}'.{did_you_mean(model)} 'edgevit models' lists all."
        )
    entry = MODELS[model]
    if not colon:
        return entry
    if weights not in entry.weight_sets:
        shipped = ", ".join(f"{model}:{known}" for known in entry.weight_sets)
        known = f"Those of {model} are: {shipped}" if shipped else f"It ships none for {model}"
        raise InputError(f"edgevit ships no weights called '{name}'. {known}.")
    return replace(entry, chosen=weights)

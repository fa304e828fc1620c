"""The zoo by name: hyperparameters, shipped weights. Importable without torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import InputError
from edgevit.spec import LlaSpec, ModelSpec, SuperpixelSpec, VitSpec

ZOO = Path(__file__).parent / "zoo"
DEFAULT_MODEL = "lla_tiny"
PREBUILT_BUNDLE = ZOO / f"{DEFAULT_MODEL}.edgevit"


@dataclass(frozen=True)
class ModelEntry:
    """A model of the zoo. ``weights`` is a checkpoint that the package ships, or None."""

    spec: ModelSpec
    summary: str
    weights: Path | None = None


_K16 = SuperpixelSpec(grid=(4, 4))
_K49 = SuperpixelSpec(grid=(7, 7))
_K16_OF_32 = SuperpixelSpec(grid=(4, 4), cell_px=1)

_ENTRIES = (
    ModelEntry(
        LlaSpec("lla_tiny", 192, 3, 12, superpixels=_K16, latents=8),
        "superpixel ViT, 16 superpixels, 8 latents: the fast one",
        ZOO / "lla_tiny.safetensors",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_k49", 192, 3, 12, superpixels=_K49, latents=16),
        "superpixel ViT, 49 superpixels, 16 latents: the accurate one",
    ),
    ModelEntry(
        LlaSpec("lla_small", 384, 6, 12, superpixels=_K16, latents=8),
        "superpixel ViT, twice as wide",
    ),
    ModelEntry(
        LlaSpec("lla_base", 768, 12, 12, superpixels=_K16, latents=8),
        "superpixel ViT, four times as wide",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_soft", 192, 3, 12, superpixels=_K16, pooling="soft"),
        "lla_tiny, patches shared between superpixels by overlap",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_moments", 192, 3, 12, superpixels=_K16, moments=2),
        "lla_tiny, second moments of the patches pooled too",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_joint", 192, 3, 12, superpixels=_K16, wiring="joint"),
        "lla_tiny, latents read each other too",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_writeback", 192, 3, 12, superpixels=_K16, wiring="writeback"),
        "lla_tiny, tokens attend through latents and back",
    ),
    ModelEntry(
        LlaSpec("lla_tiny_32", 192, 3, 12, 32, 4, superpixels=_K16_OF_32),
        "lla_tiny for 32x32 images",
    ),
    ModelEntry(VitSpec("vit_tiny", 192, 3, 12), "plain ViT (DeiT-Ti shape): the ruler"),
    ModelEntry(VitSpec("vit_tiny_32", 192, 3, 12, 32, 4), "plain ViT for 32x32 images"),
    ModelEntry(VitSpec("vit_small", 384, 6, 12), "plain ViT (DeiT-S shape)"),
)

MODELS: dict[str, ModelEntry] = {entry.spec.name: entry for entry in _ENTRIES}


def find(name: str) -> ModelEntry:
    """The entry of that name.

    Raises:
        InputError: there is none; the nearest names are suggested.
    """
    if name in MODELS:
        return MODELS[name]
    near = difflib.get_close_matches(name, MODELS, n=3, cutoff=0.4)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise InputError(f"Unknown model '{name}'.{hint} 'edgevit models' lists all.")

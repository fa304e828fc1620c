"""Models of the zoo in a size that tests can afford, and the shipped bundle in its plain form."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit
from edgevit.bundle.manifest import FLOAT_VARIANT
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.registry import ModelEntry, find
from edgevit.zoo.spec import IsotropicSpec, LlaSpec


def shallow(name: str) -> ModelEntry:
    """A model of the zoo with two layers instead of twelve: what is in a layer is there.

    One with shipped weights stays as it is. All models in full depth are in the slow tests.
    """
    entry = find(name)
    if entry.weights is None and isinstance(entry.spec, IsotropicSpec):
        return ModelEntry(replace(entry.spec, depth=2 * _layers_per_reading(entry.spec)), "")
    return entry


def _layers_per_reading(spec: IsotropicSpec) -> int:
    return spec.layers_per_reading if isinstance(spec, LlaSpec) else 1


def float_copy(target: Path) -> Path:
    """A copy of the shipped bundle that holds the float model alone, as after an export."""
    bundle = Bundle.open(Path(shutil.copytree(PREBUILT_BUNDLE, target)))
    with edit(bundle) as draft:
        draft.drop(set(draft.manifest.variants) - {FLOAT_VARIANT})
    return target

"""Models of the zoo in a size that tests can afford."""

from __future__ import annotations

from dataclasses import replace

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

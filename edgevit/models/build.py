"""From a spec to its torch module."""

from __future__ import annotations

from edgevit.models.lla import LlaClassifier
from edgevit.models.vit import VitClassifier
from edgevit.spec import LlaSpec, ModelSpec, VitSpec

Classifier = LlaClassifier | VitClassifier


def build(spec: ModelSpec) -> Classifier:
    """An untrained module from pictures to logits."""
    if isinstance(spec, LlaSpec):
        return LlaClassifier(spec)
    if isinstance(spec, VitSpec):
        return VitClassifier(spec)
    raise TypeError(f"no module is written for specs of type {type(spec).__name__}")

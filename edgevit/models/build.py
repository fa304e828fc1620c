"""From a spec to its torch module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgevit.models.classifier import ZooModule
from edgevit.models.convolutional import ConvolutionalClassifier
from edgevit.models.dense.detector import LavitDetector
from edgevit.models.dense.segmenter import LavitSegmenter
from edgevit.models.dense.superpixel_segmenter import SuperpixelSegmenter
from edgevit.models.lavit.lavit import LavitClassifier
from edgevit.models.superpixel.lla import LlaClassifier
from edgevit.models.superpixel.lla_carry import CarryClassifier
from edgevit.models.superpixel.lla_joint import JointClassifier
from edgevit.models.superpixel.lla_self import SelfClassifier
from edgevit.models.superpixel.lla_writeback import WritebackClassifier
from edgevit.models.vit import VitClassifier
from edgevit.zoo.dense_spec import LavitSegmenterSpec, LlaSegmenterSpec
from edgevit.zoo.detector_spec import LavitDetectorSpec
from edgevit.zoo.spec import ConvolutionalSpec, LavitSpec, LlaSpec, ModelSpec, VitSpec

_WIRINGS: dict[str, type[LlaClassifier]] = {
    "carry": CarryClassifier,
    "joint": JointClassifier,
    "writeback": WritebackClassifier,
    "self": SelfClassifier,
}


_MODULES: dict[type[ModelSpec], Callable[[Any], ZooModule]] = {
    LlaSpec: lambda spec: _WIRINGS[spec.wiring](spec),
    VitSpec: VitClassifier,
    LavitSpec: LavitClassifier,
    ConvolutionalSpec: ConvolutionalClassifier,
    LavitSegmenterSpec: LavitSegmenter,
    LlaSegmenterSpec: SuperpixelSegmenter,
    LavitDetectorSpec: LavitDetector,
}


def build(spec: ModelSpec) -> ZooModule:
    """An untrained module from pictures to the answers of its task."""
    if type(spec) not in _MODULES:
        raise TypeError(f"no module is written for specs of type {type(spec).__name__}")
    return _MODULES[type(spec)](spec)

"""From a spec to its torch module."""

from __future__ import annotations

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


def build(spec: ModelSpec) -> ZooModule:
    """An untrained module from pictures to the answers of its task."""
    if isinstance(spec, LlaSegmenterSpec):
        return SuperpixelSegmenter(spec)
    if isinstance(spec, LlaSpec):
        return _WIRINGS[spec.wiring](spec)
    if isinstance(spec, VitSpec):
        return VitClassifier(spec)
    if isinstance(spec, LavitSpec):
        return LavitClassifier(spec)
    if isinstance(spec, ConvolutionalSpec):
        return ConvolutionalClassifier(spec)
    if isinstance(spec, LavitSegmenterSpec):
        return LavitSegmenter(spec)
    if isinstance(spec, LavitDetectorSpec):
        return LavitDetector(spec)
    raise TypeError(f"no module is written for specs of type {type(spec).__name__}")

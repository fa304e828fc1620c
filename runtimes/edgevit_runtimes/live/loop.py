"""The loop: the newest frame, resized, answered."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgevit.bundle.manifest import Manifest
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.answers import softmax
from edgevit.inference.dense.letterbox import mask_in_picture
from edgevit.inference.dense.masks import class_shares
from edgevit.inference.runner import Array
from edgevit.zoo.spec import LOGITS, SUPERPIXEL_MAP
from edgevit.zoo.tasks import MASK
from edgevit_runtimes.backends.classifier import BundleClassifier
from edgevit_runtimes.live.feed import Feed
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.smoothing import Smoothing
from edgevit_runtimes.live.statistics import Statistics


def observe(
    feed: Feed,
    classifier: BundleClassifier,
    statistics: Statistics,
    top: int = 3,
    smoothing: Smoothing | None = None,
) -> Iterator[Observation]:
    """Answers a feed's frames as they come, until it ends or is stopped.

    Every observation is in the statistics before it is yielded.
    """
    preprocess = classifier.bundle.manifest.preprocess
    smoothing = smoothing or Smoothing(0)
    _warm_up(classifier)
    statistics.start()
    for frame in feed:
        taken_ns = time.perf_counter_ns()
        resized = image_io.resize(frame.picture, preprocess)
        resized_ns = time.perf_counter_ns()
        (outputs,) = classifier.outputs([resized], resized=True)
        inferred_ns = time.perf_counter_ns()
        mask, answer = _answer(outputs, frame.picture, classifier.bundle.manifest)
        probabilities = smoothing.add(answer, frame.captured_ns / 1e9)
        observation = Observation(
            frame,
            tuple(classifier.named(probabilities, top)),
            resized,
            outputs.get(SUPERPIXEL_MAP),
            resize_ns=resized_ns - taken_ns,
            inference_ns=inferred_ns - resized_ns,
            latency_ns=time.perf_counter_ns() - frame.captured_ns,
            probabilities=probabilities,
            mask=mask,
        )
        statistics.add(observation)
        yield observation


def _warm_up(classifier: BundleClassifier) -> None:
    """A runtime's first inference is slow; it is not a frame's."""
    size_px = classifier.bundle.manifest.preprocess.size_px
    list(classifier.outputs([np.zeros((size_px, size_px, 3), np.uint8)], resized=True))


def _answer(
    outputs: Mapping[str, Array], picture: Image, manifest: Manifest
) -> tuple[NDArray[np.uint8] | None, NDArray[np.float32]]:
    """The mask, in the frame's own pixels, and what the classes have: probability, or area."""
    if manifest.task != "segmentation":
        return None, softmax(outputs[LOGITS])
    height, width = picture.shape[:2]
    mask = mask_in_picture(outputs[MASK], height, width, manifest.preprocess)
    return mask, class_shares(mask, len(manifest.classes))

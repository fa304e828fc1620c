"""The loop: the newest frame, resized, answered."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.answers import Answer
from edgevit.inference.dense.detections import Detections
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
        mask, found, answer = _answer(outputs, frame.picture, classifier)
        smoothed = answer if found is not None else smoothing.add(answer, frame.captured_ns / 1e9)
        observation = Observation(
            frame,
            _named(classifier, smoothed, top, found),
            resized,
            outputs.get(SUPERPIXEL_MAP),
            resize_ns=resized_ns - taken_ns,
            inference_ns=inferred_ns - resized_ns,
            latency_ns=time.perf_counter_ns() - frame.captured_ns,
            probabilities=smoothed,
            mask=mask,
            detections=found,
            classes=classifier.bundle.manifest.classes,
        )
        statistics.add(observation)
        yield observation


def _warm_up(classifier: BundleClassifier) -> None:
    """A runtime's first inference is slow; it is not a frame's."""
    size_px = classifier.bundle.manifest.preprocess.size_px
    list(classifier.outputs([np.zeros((size_px, size_px, 3), np.uint8)], resized=True))


def _named(
    classifier: BundleClassifier,
    probabilities: NDArray[np.float32],
    top: int,
    found: Detections | None,
) -> tuple[Answer, ...]:
    """Of a detector only classes that were found."""
    answers = classifier.named(probabilities, top)
    return tuple(each for each in answers if found is None or each.probability)


def _answer(
    outputs: Mapping[str, Array], picture: Image, classifier: BundleClassifier
) -> tuple[NDArray[np.uint8] | None, Detections | None, NDArray[np.float32]]:
    """The mask or the objects, in the frame's own pixels, and what the classes have.

    That is their probability, their area, or their best score.
    """
    manifest = classifier.bundle.manifest
    (height, width), classes = picture.shape[:2], len(manifest.classes)
    if manifest.task == "segmentation":
        mask = mask_in_picture(outputs[MASK], height, width, manifest.preprocess)
        return mask, None, class_shares(mask, classes)
    if manifest.task == "detection":
        found = Detections.worth_showing(outputs, height, width, manifest.preprocess)
        return None, found, found.presence(classes)
    return None, None, classifier.probabilities(outputs[LOGITS])

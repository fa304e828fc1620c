"""The loop: the newest frame, resized, answered."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgevit.bundle.task_answer import task_answer
from edgevit.images import image_io
from edgevit.inference.answers import Answer
from edgevit.inference.dense.detections import Detections
from edgevit.zoo.interface.tensors import SUPERPIXEL_MAP
from edgevit_runtimes.backends.classifier import BundleClassifier
from edgevit_runtimes.live.feed import Feed
from edgevit_runtimes.live.feed_options import FeedOptions
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.smoothing import Smoothing
from edgevit_runtimes.live.statistics import Statistics
from edgevit_runtimes.live.tracking import Tracking

_USUAL = FeedOptions(top=3)


def observe(
    feed: Feed,
    classifier: BundleClassifier,
    statistics: Statistics,
    options: FeedOptions = _USUAL,
) -> Iterator[Observation]:
    """Answers a feed's frames as they come, until it ends or is stopped.

    Every observation is in the statistics before it is yielded.

    Args:
        options: how they are answered; the caller counts frames and seconds.
    """
    preprocess = classifier.bundle.manifest.preprocess
    smoothing, tracking = Smoothing(options.smooth), Tracking() if options.track else None
    _warm_up(classifier)
    statistics.start()
    for frame in feed:
        taken_ns = time.perf_counter_ns()
        resized = image_io.resize(frame.picture, preprocess)
        resized_ns = time.perf_counter_ns()
        (outputs,) = classifier.outputs([resized], resized=True)
        inferred_ns = time.perf_counter_ns()
        height, width = frame.picture.shape[:2]
        answer = task_answer(outputs, height, width, classifier.bundle.manifest)
        smoothed, found = answer.probabilities, answer.detections
        if found is None:
            smoothed = smoothing.add(smoothed, frame.captured_ns / 1e9)
        elif tracking is not None:
            found = tracking.follow(found)
        observation = Observation(
            frame,
            _named(classifier, smoothed, options.top, found),
            resized,
            outputs.get(SUPERPIXEL_MAP),
            resize_ns=resized_ns - taken_ns,
            inference_ns=inferred_ns - resized_ns,
            latency_ns=time.perf_counter_ns() - frame.captured_ns,
            probabilities=smoothed,
            mask=answer.mask,
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

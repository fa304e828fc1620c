"""A bundle's answers to labelled pictures, through the runtime it is deployed in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from edgevit.bundle.bundle import Bundle
from edgevit.common.progress import Progress
from edgevit.common.workers import workers
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.images.labelled_images import LabelledImages
from edgevit.inference.accuracy import Accuracy
from edgevit.inference.answers import class_places
from edgevit_runtimes.backends.classifier import BundleClassifier

_CHUNK = 64


@dataclass(frozen=True)
class Evaluation:
    """accuracy: over the model's classes. seconds: of inference, and with reading and resizing."""

    accuracy: Accuracy
    inference_seconds: float
    total_seconds: float

    @property
    def images_per_second(self) -> tuple[float, float]:
        """Of inference alone, and of everything."""
        count = len(self.accuracy.labels)
        return count / self.inference_seconds, count / self.total_seconds


def evaluate(
    classifier: BundleClassifier, folder: LabelledImages, progress: Progress
) -> Evaluation:
    """Answers every picture with the bundle's own preprocessing.

    Raises:
        InputError: the model does not know a class of the folder, or a picture is damaged.
    """
    manifest = classifier.bundle.manifest
    places = places_of(folder.classes, classifier.bundle)
    answers: list[NDArray[np.float32]] = []
    inference = 0.0
    started = time.perf_counter()
    with progress.bar("evaluate", len(folder)) as advance:
        for chunk in _pictures(folder):
            resized = [image_io.resize(picture, manifest.preprocess) for picture in chunk]
            before = time.perf_counter()
            answers.extend(classifier.logits(resized, resized=True))
            inference += time.perf_counter() - before
            advance(len(chunk))
    total = time.perf_counter() - started
    labels = places[np.asarray(folder.labels, np.int64)]
    return Evaluation(Accuracy(np.stack(answers), labels, manifest.classes), inference, total)


def places_of(classes: tuple[str, ...], bundle: Bundle) -> NDArray[np.int64]:
    """Where a folder's classes are among a bundle's.

    Raises:
        InputError: some are not there; they are named.
    """
    remedy = "Name the class folders as it does, or export it with --classes FILE."
    known = bundle.manifest.classes
    return class_places(classes, known, str(bundle.path), "classes of the images", remedy)


def _pictures(folder: LabelledImages) -> Iterator[list[Image]]:
    """Chunks of decoded pictures, read one chunk ahead."""
    remaining = iter(range(len(folder)))
    with workers(1) as pool:

        def read() -> list[Image]:
            return [folder.picture(place).pixels for place in islice(remaining, _CHUNK)]

        ahead = pool.submit(read)
        while chunk := ahead.result():
            ahead = pool.submit(read)
            yield chunk

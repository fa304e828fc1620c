"""Accuracy on labelled pictures that workers of a cluster answer."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError, some_of
from edgevit.common.progress import Progress
from edgevit.common.storage.files import resolved
from edgevit.images.image_folder import ImageFolder
from edgevit.images.labelled_images import LabelledImages
from edgevit.images.shards.image_shards import ImageShards
from edgevit.inference.accuracy import Accuracy
from edgevit.workflows.sets.answerer import AnswerRequest
from edgevit.workflows.sets.engines import EngineOptions, answered
from edgevit.workflows.sets.picture_items import PictureItem
from edgevit.workflows.sets.set_listing import SetListing
from edgevit_runtimes.selection.evaluate import Evaluation, places_of


def evaluate_set(
    bundle: Bundle,
    images: LabelledImages,
    variant: str,
    threads: int,
    skip_corrupt: bool,
    engine: EngineOptions,
    progress: Progress,
) -> tuple[LabelledImages, Evaluation]:
    """The pictures that could be read, and how often they were answered rightly.

    The seconds of inference are those of everything: workers read and infer at the same time.

    Raises:
        InputError: the model does not know a class, or a picture is damaged and not to be skipped.
        ClusterError: the cluster cannot be reached or failed.
    """
    places = places_of(images.classes, bundle)
    request = AnswerRequest(resolved(bundle.path), variant, threads, top=1, with_logits=True)
    on_gpu = bundle.manifest.variants[variant].runtime == "tensorrt"
    started = time.perf_counter()
    logits, whole, errors = [], [], []
    with progress.bar("evaluate", len(images)) as advance:
        for rows in answered(SetListing.of(_items(images)), request, engine, on_gpu):
            for row in rows:
                if row["error"] is None:
                    logits.append(np.asarray(row["logits"], np.float32))
                    whole.append(row["place"])
                else:
                    errors.append(row["error"])
            advance(len(rows))
    if errors:
        _report(errors, len(images), skip_corrupt, progress)
    if not whole:
        raise InputError("No image of the set can be decoded.")
    read = images.part(np.asarray(whole, np.int64))
    labels = places[np.asarray(read.labels, np.int64)]
    total = time.perf_counter() - started
    accuracy = Accuracy(np.stack(logits), labels, bundle.manifest.classes)
    return read, Evaluation(accuracy, total, total)


def _report(errors: list[str], count: int, skip_corrupt: bool, progress: Progress) -> None:
    found = f"{len(errors)} of {count} images cannot be decoded: {some_of(errors)}"
    if not skip_corrupt:
        raise InputError(f"{found} Mend or delete them, or leave them out: --skip-corrupt.")
    progress.line(f"skipped: {found}")


def _items(images: LabelledImages) -> Iterable[PictureItem]:
    if isinstance(images, ImageFolder):
        return (PictureItem(str(file), str(file.absolute())) for file in images.files)
    if isinstance(images, ImageShards):
        archives = [str(archive.absolute()) for archive in images.archives]
        return (
            PictureItem(images.name(place), archives[images.homes[place]], member)
            for place, member in enumerate(images.members)
        )
    raise TypeError(f"pictures of the kind {type(images).__name__} have no files")

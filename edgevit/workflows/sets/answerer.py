"""What a worker does: it opens the model once, and answers pictures row by row."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import EdgevitError, InputError
from edgevit.common.untrusted.sanitize import encodable, shortened
from edgevit.common.version import __version__
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.batches import FREE_BATCH
from edgevit.workflows.sets.picture_items import PictureItem
from edgevit.zoo.interface.tensors import LOGITS

Row = dict[str, Any]


@dataclass(frozen=True)
class AnswerRequest:
    """What every worker is told.

    version: of the edgevit that asks. top: how many classes a row lists. with_logits: rows have a
    column ``logits`` too.
    """

    bundle: Path
    variant: str
    threads: int
    top: int
    version: str = __version__
    with_logits: bool = False


class VersionMismatchError(EdgevitError):
    """A worker's edgevit is not the one that asks."""


class Answerer:
    """Holds a session of a bundle's model.

    Raises:
        VersionMismatchError: this machine has another edgevit than the one that asks.
        BundleError: the bundle is not here, or cannot be opened.
    """

    def __init__(self, request: AnswerRequest) -> None:
        from edgevit_runtimes.backends.classifier import BundleClassifier

        if request.version != __version__:
            raise VersionMismatchError(
                f"The worker on {platform.node()} has edgevit {__version__}, and {request.version} "
                "asks. Install the same version on all machines of the cluster (docs/install.md)."
            )
        bundle = Bundle.open(request.bundle)
        self.request = request
        self._preprocess = bundle.manifest.preprocess
        self.classifier = BundleClassifier(bundle, request.variant, request.threads)

    def rows(self, places: Sequence[int], items: Sequence[PictureItem]) -> list[Row]:
        """A row for every picture; one that cannot be read has an ``error`` and no answer.

        Args:
            places: of the items in the set, kept in the column ``place``.
        """
        rows: list[Row] = []
        for start in range(0, len(items), FREE_BATCH):
            some = slice(start, start + FREE_BATCH)
            rows += self._batch(places[some], items[some])
        return rows

    def _batch(self, places: Sequence[int], items: Sequence[PictureItem]) -> list[Row]:
        rows = [self._empty(place, item) for place, item in zip(places, items, strict=True)]
        read: list[tuple[Row, Image]] = []
        for row, item in zip(rows, items, strict=True):
            try:
                # Resized at once: photographs as they are would be gigabytes.
                read.append((row, image_io.resize(item.picture().pixels, self._preprocess)))
            except InputError as error:
                row["error"] = encodable(shortened(str(error)))
        pictures = [picture for _, picture in read]
        outputs = self.classifier.outputs(pictures, resized=True) if read else ()
        for (row, _), output in zip(read, outputs, strict=True):
            row.update(self._answer(output[LOGITS]))
        return rows

    def close(self) -> None:
        self.classifier.close()

    def _empty(self, place: int, item: PictureItem) -> Row:
        fields = ("label", "probability", "top_labels", "top_probabilities", "error")
        row: Row = {"place": place, "image": encodable(item.image), **dict.fromkeys(fields)}
        return row | ({"logits": None} if self.request.with_logits else {})

    def _answer(self, logits: np.ndarray[Any, np.dtype[np.float32]]) -> Row:
        best = self.classifier.named(self.classifier.probabilities(logits), self.request.top)
        row: Row = {
            "label": encodable(best[0].label),
            "probability": best[0].probability,
            "top_labels": [encodable(answer.label) for answer in best],
            "top_probabilities": [answer.probability for answer in best],
        }
        return row | ({"logits": logits.tolist()} if self.request.with_logits else {})

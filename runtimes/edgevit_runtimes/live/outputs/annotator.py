"""Draws what was answered: the superpixels that the model pooled, and its best answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.bundle.bundle import Bundle
from edgevit.images.drawn import drawing
from edgevit.images.drawn.box_drawing import draw_boxes, plate_texts
from edgevit.images.drawn.mask_drawing import draw_mask
from edgevit.images.image_io import Image
from edgevit.inference.dense.detections import Detections
from edgevit_runtimes.backends.classifier import BundleSuperpixels
from edgevit_runtimes.live.observation import Observation


class Annotator:
    """Annotated pictures of observations. A context manager, safe to use from several threads.

    Args:
        drawn: is told how long every picture took, in nanoseconds.
    """

    def __init__(
        self, bundle: Bundle, threads: int = 1, drawn: Callable[[int], None] | None = None
    ) -> None:
        # Masks are drawn over everything, outlines of superpixels too.
        is_classifier = bundle.manifest.task == "classification"
        self.has_superpixels = is_classifier and bundle.manifest.superpixel_map is not None
        self._preprocess = bundle.manifest.preprocess
        self._classes = bundle.manifest.classes
        self._trained = bundle.manifest.model.trained
        self._maps = BundleSuperpixels(bundle, threads) if self.has_superpixels else None
        self._drawn = drawn
        self._lock = threading.Lock()
        self._newest: tuple[Observation, NDArray[np.int32]] | None = None

    def draw(
        self, observation: Observation, outlines: bool = True, longest_px: int | None = None
    ) -> Image:
        """The frame with its caption, uint8 RGB.

        Args:
            outlines: with the outlines of the superpixels, where the model has some.
            longest_px: shrunk to this where a side is longer.
        """
        started_ns = time.perf_counter_ns()
        drawn = shrunk(observation.frame.picture, longest_px)
        if observation.mask is not None:
            drawn = draw_mask(drawn, _sized(observation.mask, drawn), self._classes)
        elif observation.detections is not None:
            drawn = self._with_boxes(drawn, observation, observation.detections)
        else:
            if outlines and self._maps is not None:
                drawn = drawing.draw_superpixels(drawn, self._labels(observation), self._preprocess)
            drawn = drawing.draw_caption(drawn, self.caption(observation))
        if self._drawn is not None:
            self._drawn(time.perf_counter_ns() - started_ns)
        return drawn

    def _with_boxes(self, drawn: Image, observation: Observation, found: Detections) -> Image:
        shown = found.scaled(drawn.shape[1] / observation.frame.picture.shape[1])
        names = [self._classes[place] for place in shown.labels]
        texts = plate_texts(names, shown.scores, self._trained, shown.tracks)
        return draw_boxes(drawn, shown.boxes, shown.labels.tolist(), texts)

    def caption(self, observation: Observation) -> str:
        if observation.detections is not None:
            return observation.summary
        best = observation.answers[0]
        return drawing.caption(best.label, best.probability, self._trained, observation.unsure)

    def _labels(self, observation: Observation) -> NDArray[np.int32]:
        """The superpixels: from the model where it gives them out, else by its op; kept for one."""
        if observation.labels is not None:
            return observation.labels
        assert self._maps is not None
        with self._lock:
            if self._newest is None or self._newest[0] is not observation:
                labels = next(self._maps.label_maps([observation.resized], resized=True))
                self._newest = (observation, labels)
            return self._newest[1]

    def close(self) -> None:
        if self._maps is not None:
            self._maps.close()

    def __enter__(self) -> Annotator:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _sized(mask: NDArray[np.uint8], picture: Image) -> NDArray[np.uint8]:
    """A mask at the size of a picture that may have been shrunk."""
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def shrunk(picture: Image, longest_px: int | None) -> Image:
    """The picture, or a smaller one whose longer side is ``longest_px``."""
    height, width = picture.shape[:2]
    if longest_px is None or max(height, width) <= longest_px:
        return picture
    scale = longest_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)

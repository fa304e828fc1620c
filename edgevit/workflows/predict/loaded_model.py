"""A bundle opened for use: pictures in, predictions out, from any thread."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.model_notes import untrained_note
from edgevit.bundle.variant_names import current_name
from edgevit.common.errors import InputError
from edgevit.images.image_io import Image
from edgevit.inference.confidence import UNSURE_BELOW, refuse_threshold
from edgevit.inference.runner import Array
from edgevit.results.prediction import Prediction
from edgevit.workflows.bundle_work import BundleWork, PathLike
from edgevit.workflows.predict.answer import answer_of
from edgevit.workflows.predict.pictures import Picture, ReadOptions, Source, pictures_of
from edgevit.zoo.interface.tensors import SUPERPIXEL_MAP
from edgevit_runtimes.sources.capture_request import CaptureRequest, Orientation

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

    from edgevit.workflows.evaluate import AnyEvaluation
    from edgevit.workflows.predict.stream import AnyPrediction
    from edgevit_runtimes.backends.classifier import BundleClassifier, BundleSuperpixels

_USUAL_TOP = 5


class Model(BundleWork):
    """A bundle's model, loaded when it is first used. A context manager, safe in threads.

    Several threads may call it; inferences run one after the other. To use several cores give
    ``threads``, or open a model for each thread.

    Args:
        bundle: the opened bundle.
        variant: which form of the model; None: the one chosen for this machine.
        threads: threads inside an operator.
        unsure_below: a prediction is unsure where its likeliest class is less probable, 0 to 1.

    Raises:
        BundleError: the bundle has no such variant.
        InputError: ``threads`` is below 1.
    """

    def __init__(
        self,
        bundle: Bundle,
        variant: str | None = None,
        threads: int = 1,
        unsure_below: float = UNSURE_BELOW,
    ) -> None:
        refuse_threshold(unsure_below)
        self.unsure_below = unsure_below
        if variant is not None:
            variant = current_name(variant)
            bundle.variant(variant)
        if threads < 1:
            raise InputError(f"threads must be 1 or more; got {threads}.")
        self.bundle = bundle
        self.threads = threads
        self._asked_variant = variant
        self._lock = threading.Lock()
        self._closed = False
        self._classifier: BundleClassifier | None = None
        self._superpixels: BundleSuperpixels | None = None

    @property
    def name(self) -> str:
        """The name of the model in the zoo."""
        return self.bundle.manifest.model.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self.bundle.manifest.classes

    @property
    def variant(self) -> str:
        """The form of the model that is used here; the session is opened to know."""
        return self.classifier().variant

    @property
    def notes(self) -> tuple[str, ...]:
        """What goes for every answer: an untrained model, a chosen form that cannot run here."""
        from edgevit_runtimes.devices.facts import fallback_note

        fallback = None if self._asked_variant else fallback_note(self.bundle)
        return tuple(note for note in (untrained_note(self.bundle), fallback) if note)

    def classifier(self, paced: bool = False) -> BundleClassifier:
        """The session that all threads share, opened when it is first asked for.

        Args:
            paced: of a session that is opened now: pictures come now and then, so threads that
                wait for them sleep instead of spinning.

        Raises:
            InputError: the model was closed.
        """
        from edgevit_runtimes.backends.classifier import BundleClassifier

        with self._lock:
            self._refuse_closed()
            if self._classifier is None:
                self._classifier = BundleClassifier(
                    self.bundle, self._asked_variant, self.threads, paced
                )
            return self._classifier

    @overload
    def __call__(
        self,
        source: PathLike,
        *,
        top: int = ...,
        bgr: bool = ...,
        rotate: int = ...,
        mirror: bool = ...,
    ) -> Any: ...

    @overload
    def __call__(
        self,
        source: NDArray[np.uint8] | PilImage,
        *,
        top: int = ...,
        bgr: bool = ...,
        rotate: int = ...,
        mirror: bool = ...,
    ) -> Prediction: ...

    @overload
    def __call__(
        self,
        source: list[Any] | tuple[Any, ...] | Iterator[Any],
        *,
        top: int = ...,
        bgr: bool = ...,
        rotate: int = ...,
        mirror: bool = ...,
    ) -> list[Prediction]: ...

    def __call__(
        self,
        source: Source | Iterable[Source],
        *,
        top: int = _USUAL_TOP,
        bgr: bool = False,
        rotate: int = 0,
        mirror: bool = False,
    ) -> Any:
        """Answers a picture, or several.

        Args:
            source: one picture: a file's path, a uint8 RGB array [H, W, 3] (also grey [H, W] or
                RGBA), or a PIL image. Several: a folder, a glob, or an iterable of the above.
            top: how many classes ``to_dict`` and ``print`` of a result list.
            bgr: arrays have blue first, as OpenCV's have.
            rotate: degrees clockwise: 0, 90, 180 or 270. mirror: left to right, after turning.

        Returns:
            a :class:`Prediction` for one picture, a list of them for several.

        Raises:
            InputError: the source cannot be used, or the model was closed.
        """
        refuse_top(top)
        options = ReadOptions(bgr, Orientation(rotate, mirror))
        pictures, is_one = pictures_of(source, options)
        predictions = list(self.predictions(pictures, top))
        return predictions[0] if is_one else predictions

    def predictions(self, pictures: Iterator[Picture], top: int) -> Iterator[Prediction]:
        """Answers pictures as they are read, as many at once as the model takes."""
        classifier = self.classifier()
        while some := list(islice(pictures, classifier.batch)):
            started_ns = time.perf_counter_ns()
            outputs = list(classifier.outputs([picture.pixels for picture in some]))
            latency_ms = (time.perf_counter_ns() - started_ns) / 1e6
            for picture, output in zip(some, outputs, strict=True):
                yield self._prediction(picture, output, latency_ms, top)

    def _prediction(
        self, picture: Picture, outputs: dict[str, Array], latency_ms: float, top: int
    ) -> Prediction:
        given = outputs.get(SUPERPIXEL_MAP)
        height, width = picture.pixels.shape[:2]
        kind, answers = answer_of(outputs, height, width, self.bundle.manifest)
        return kind(
            source=picture.source,
            **answers,
            classes=self.classes,
            latency_ms=latency_ms,
            trained=self.bundle.manifest.model.trained,
            shown=top,
            load_picture=picture.load,
            preprocess=self.bundle.manifest.preprocess,
            notes=picture.notes,
            unsure_below=self.unsure_below,
            find_superpixels=self.find_superpixels if given is None else lambda _: given,
        )

    def find_superpixels(self, picture: Image) -> NDArray[np.int32] | None:
        """The superpixels that the model pools of a picture, by its own op.

        Args:
            picture: uint8 RGB [H, W, 3], of any size.

        Returns:
            int32 [rows, columns], or None for a model without superpixels.

        Raises:
            InputError: the model was closed.
        """
        if self.bundle.manifest.superpixel_map is None:
            return None
        return next(self._superpixel_session().label_maps([picture]))

    def _superpixel_session(self) -> BundleSuperpixels:
        from edgevit_runtimes.backends.classifier import BundleSuperpixels

        with self._lock:
            self._refuse_closed()
            if self._superpixels is None:
                self._superpixels = BundleSuperpixels(self.bundle, self.threads)
            return self._superpixels

    def stream(
        self,
        source: PathLike,
        *,
        every: int = 1,
        rotate: int = 0,
        mirror: bool = False,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        pixel_format: str | None = None,
        smooth: float = 0.0,
        frames: int | None = None,
        duration: float | None = None,
        top: int = _USUAL_TOP,
        track: bool = False,
    ) -> Generator[AnyPrediction, None, None]:
        """Answers the newest frame of a source again and again; of a file, every frame.

        The source is opened when the first result is asked for, and closed when the generator is
        closed or its loop is left. What happens to it meanwhile (lost, back) is logged as
        ``edgevit``.

        Args:
            source: a video file, a webcam (``"0"`` or ``"/dev/video0"``), ``rtsp://``, ``http://``,
                ``csi://0``, a GStreamer pipeline, ``-`` for JPEGs on standard input, or pictures.
            every: answer one frame in so many.
            rotate: as for a picture.
            mirror: as for a picture.
            size: width and height to ask a camera for, pixels.
            fps: frames a second to ask a camera for, or to read a file at.
            pixel_format: to ask a webcam for, such as ``"MJPG"``.
            smooth: average the probabilities over so many seconds.
            frames: end after so many answers.
            duration: end after so many seconds.
            top: how many classes ``to_dict`` and ``print`` of a result list.
            track: of a detector: objects keep a number from frame to frame, ``result.tracks``.

        Raises:
            MissingExtraError: ``track`` without the extra of that name.
            InputError: an option cannot be used, at once; the source cannot be opened or the model
                was closed, when the first result is asked for.
        """
        from edgevit.workflows.predict.stream import stream_predictions
        from edgevit_runtimes.live.feed_options import FeedOptions
        from edgevit_runtimes.live.tracking import refuse_tracking
        from edgevit_runtimes.sources.feed_source import FeedSource

        refuse_top(top)
        request = CaptureRequest(size, fps, pixel_format)
        feed = FeedSource.of([os.fspath(source)], request, Orientation(rotate, mirror))
        options = FeedOptions(top, every, smooth, frames, duration, self.unsure_below, track)
        if track:
            refuse_tracking(self.bundle.manifest.task)
        return stream_predictions(self, feed, options)

    def evaluate(self, data: PathLike, **options: Any) -> AnyEvaluation:
        """Accuracy of the variant in use; see :func:`edgevit.workflows.evaluate.evaluate`."""
        usual = {"variant": self._asked_variant, "threads": self.threads}
        return super().evaluate(data, **(usual | options))

    def _editable(self) -> Bundle:
        with self._lock:
            self._refuse_closed()
        return super()._editable()

    def _edited(self) -> None:
        """From now on the edited bundle is used, in sessions of its own."""
        with self._lock:
            super()._edited()
            self._drop_sessions()

    def close(self) -> None:
        """Frees the sessions; the model cannot be used any more."""
        with self._lock:
            self._closed = True
            self._drop_sessions()

    def _drop_sessions(self) -> None:
        for session in (self._classifier, self._superpixels):
            if session is not None:
                session.close()
        self._classifier = self._superpixels = None

    def _refuse_closed(self) -> None:
        if self._closed:
            raise InputError(
                f"The model {self.name} was closed. Load it again: edgevit.load(...), and close it "
                "when nothing needs it any more."
            )

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ""
        return f"<Model {self.name} of {self.bundle.path}{state}>"


def refuse_top(top: int) -> None:
    """Raises InputError for a number of classes that cannot be listed."""
    if top < 1:
        raise InputError(f"top is how many classes to list, 1 or more; got {top}.")

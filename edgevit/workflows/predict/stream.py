"""A feed answered by a model, from opening it to its summary."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeAlias

from edgevit.bundle.model_notes import knowledge
from edgevit.common.errors import InputError
from edgevit.common.progress import is_quiet
from edgevit.common.storage.interruption import ending_signals
from edgevit.results.dense.box_prediction import StreamBoxPrediction
from edgevit.results.dense.mask_prediction import StreamMaskPrediction
from edgevit.results.stream_prediction import StreamPrediction
from edgevit_runtimes.live.feed import Feed, Say
from edgevit_runtimes.live.feed_options import FeedOptions, OutputOptions
from edgevit_runtimes.live.feed_summary import FeedSummary
from edgevit_runtimes.live.loop import observe
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.outputs.feed_outputs import FeedRun, Outputs
from edgevit_runtimes.live.outputs.status_line import StatusLine
from edgevit_runtimes.live.statistics import Statistics
from edgevit_runtimes.live.tracking import refuse_tracking
from edgevit_runtimes.sources.feed_source import FeedSource

if TYPE_CHECKING:
    from edgevit.workflows.predict.loaded_model import Model
    from edgevit_runtimes.backends.classifier import BundleClassifier

AnyPrediction: TypeAlias = StreamPrediction | StreamMaskPrediction | StreamBoxPrediction

_LOG = logging.getLogger("edgevit")


def stream_predictions(
    model: Model, source: FeedSource, options: FeedOptions
) -> Generator[AnyPrediction, None, None]:
    """What a model says of a feed's frames, as they come; see ``Model.stream``."""
    classifier = model.classifier(paced=source.paced)
    feed = _feed(source, options, _LOG.warning)
    statistics = Statistics(feed)
    with feed, _stopped_after(options.duration, feed.stop):
        for observation in _observed(feed, classifier, statistics, options):
            yield _prediction(model, observation, options.top)
        _refuse_no_answers(feed, statistics)


def _prediction(model: Model, observation: Observation, top: int) -> AnyPrediction:
    frame, given = observation.frame, observation.labels
    kind, answers = _kind_of(observation)
    return kind(
        **answers,
        source=frame.source,
        probabilities=observation.probabilities,
        classes=model.classes,
        latency_ms=observation.latency_ns / 1e6,
        trained=model.bundle.manifest.model.trained,
        shown=top,
        load_picture=lambda: frame.picture,
        preprocess=model.bundle.manifest.preprocess,
        find_superpixels=model.find_superpixels if given is None else lambda _: given,
        unsure_below=model.unsure_below,
        frame=frame.number,
        captured_unix_s=frame.captured_unix_s,
        stages_ms=observation.stages_ms(),
        document=observation.to_json,
    )


def _kind_of(observation: Observation) -> tuple[type[AnyPrediction], dict[str, Any]]:
    """The type of the prediction, and the fields that only it has."""
    if observation.mask is not None:
        return StreamMaskPrediction, {"mask": observation.mask}
    if observation.detections is not None:
        return StreamBoxPrediction, {"detections": observation.detections}
    return StreamPrediction, {}


def follow_feed(
    model: Model,
    source: FeedSource,
    options: FeedOptions,
    output_options: OutputOptions,
    status: StatusLine,
) -> FeedSummary:
    """Answers until the source ends, a limit is reached, or Ctrl-C; answers go to the outputs.

    To be called from the main thread, which alone may handle signals.

    Args:
        status: is told what happens; errors of outputs are kept there.

    Raises:
        InputError: the source or an output cannot be opened, or no frame could be answered.
    """
    output_options.refuse_overwriting(source.address)
    if options.track:
        refuse_tracking(model.bundle.manifest.task)
    classifier = model.classifier(paced=source.paced)
    feed = _feed(source, options, status.say)
    run = FeedRun(
        classifier,
        source,
        feed,
        Statistics(feed),
        options,
        output_options,
        status,
        model.threads,
    )
    with ExitStack() as stack:
        outputs = Outputs(stack, run)
        stack.enter_context(feed)
        stack.enter_context(_stopped_by_signals(feed.stop))
        stack.enter_context(_stopped_after(options.duration, feed.stop))
        _follow(run, outputs)
        _refuse_no_answers(feed, run.statistics)
    status.end()
    return FeedSummary.of(run, outputs)


def _feed(source: FeedSource, options: FeedOptions, say: Say) -> Feed:
    return Feed(source.open, source.orientation, options.every, source.request.fps, say)


def _observed(
    feed: Feed, classifier: BundleClassifier, statistics: Statistics, options: FeedOptions
) -> Iterator[Observation]:
    """Answers, at most as many as were asked for."""
    observed = observe(feed, classifier, statistics, options)
    for observation in islice(observed, options.frames):
        unsure = observation.is_of_classes and bool(
            observation.probabilities.max() < options.unsure_below
        )
        yield replace(observation, unsure=unsure)


def _refuse_no_answers(feed: Feed, statistics: Statistics) -> None:
    """Raises InputError for a source that ended without an answer."""
    if statistics.answered or not feed.ended:
        return
    if captured := feed.counts.captured:
        raise InputError(
            f"None of the {captured} frames of {feed.name} could be read or was asked for."
        )
    raise InputError(f"{feed.name} ended before its first frame.")


def _follow(run: FeedRun, outputs: Outputs) -> None:
    for observation in _observed(run.feed, run.classifier, run.statistics, run.options):
        if run.statistics.answered == 1:
            _say_knowledge(run)
            _say_if_other_size(observation, run.source, run.status)
        outputs.take(observation)


def _say_knowledge(run: FeedRun) -> None:
    if not is_quiet():
        run.status.say(knowledge(run.classifier.bundle))


def _say_if_other_size(observation: Observation, source: FeedSource, status: StatusLine) -> None:
    """A camera that does not have the size that was asked for gives another, silently."""
    height, width = observation.frame.picture.shape[:2]
    given = (height, width) if source.orientation.rotate in (90, 270) else (width, height)
    if source.request.size_px and given != source.request.size_px:
        asked = "x".join(map(str, source.request.size_px))
        status.say(f"note: asked for {asked}, the camera gives {given[0]}x{given[1]}")


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run in order; the second one ends it at once."""
    former: dict[signal.Signals, Any] = {}

    def end(signum: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(signum, former[signal.Signals(signum)])
        stop()

    for signum in ending_signals():
        former[signum] = signal.signal(signum, end)
    try:
        yield
    finally:
        for signum, handler in former.items():
            signal.signal(signum, handler)


@contextmanager
def _stopped_after(seconds: float | None, stop: Callable[[], None]) -> Iterator[None]:
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

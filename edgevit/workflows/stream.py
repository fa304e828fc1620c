"""The run of a feed, from opening it to its summary."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from edgevit_runtimes.live.feed_options import FeedOptions
from edgevit_runtimes.live.outputs.feed_outputs import FeedRun, Outputs
from edgevit_runtimes.live.feed_summary import summarise
from edgevit_runtimes.live.outputs.status_line import Teller
from edgevit.common.errors import InputError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit_runtimes.live.feed import Feed
    from edgevit_runtimes.live.observation import Observation
    from edgevit_runtimes.sources.capture_request import CaptureRequest, Orientation
    from edgevit_runtimes.sources.source_address import Address


def follow_feed(
    bundle: Bundle,
    address: Address,
    request: CaptureRequest,
    orientation: Orientation,
    options: FeedOptions,
) -> None:
    """Answers until the source ends, a limit is reached, or Ctrl-C; then a summary."""
    from edgevit_runtimes.backends.classifier import BundleClassifier
    from edgevit_runtimes.live.feed import Feed
    from edgevit_runtimes.live.statistics import Statistics
    from edgevit_runtimes.sources.open_source import open_source

    _refuse_overwriting(address, options)
    teller = Teller()
    with BundleClassifier(bundle, options.variant, options.threads) as classifier:
        feed = Feed(
            lambda: open_source(address, request),
            orientation,
            options.every,
            request.fps,
            teller.say,
        )
        run = FeedRun(classifier, feed, Statistics(feed), options, teller)
        with ExitStack() as stack:
            outputs = Outputs(stack, run, address, request)
            stack.enter_context(feed)
            stack.enter_context(_stopped_by_signals(feed.stop))
            stack.enter_context(_stopped_after(options.duration, feed.stop))
            _follow(run, outputs, request, orientation)
            if not run.statistics.answered and feed.ended:
                raise InputError(_why_nothing(feed))
    teller.end()
    summarise(run, address, outputs)


def _why_nothing(feed: Feed) -> str:
    captured = feed.counts.captured
    if captured:
        return f"None of the {captured} frames of {feed.name} could be read or was asked for."
    return f"{feed.name} ended before its first frame."


def _follow(
    run: FeedRun, outputs: Outputs, request: CaptureRequest, orientation: Orientation
) -> None:
    from edgevit_runtimes.live.loop import observe
    from edgevit_runtimes.live.smoothing import Smoothing

    smoothing = Smoothing(run.options.smooth)
    observations = observe(run.feed, run.classifier, run.statistics, run.options.top, smoothing)
    for observation in islice(observations, run.options.frames):
        if run.statistics.answered == 1:
            _say_if_other_size(observation, request, orientation, run.teller)
        outputs.take(observation)


def _say_if_other_size(
    observation: Observation, request: CaptureRequest, orientation: Orientation, teller: Teller
) -> None:
    """A camera that does not have the size that was asked for gives another, silently."""
    height, width = observation.frame.picture.shape[:2]
    given = (height, width) if orientation.rotate in (90, 270) else (width, height)
    if request.size_px and given != request.size_px:
        asked = "x".join(map(str, request.size_px))
        teller.say(f"note: asked for {asked}, the camera gives {given[0]}x{given[1]}")


def _refuse_overwriting(address: Address, options: FeedOptions) -> None:
    own = {Path(address.text).resolve(), *(file.resolve() for file in address.files)}
    for target in (options.save, options.jsonl):
        if target is not None and target.resolve() in own:
            raise InputError(f"{target} is the source itself. Name another place.")
    if options.save and options.jsonl and options.save.resolve() == options.jsonl.resolve():
        raise InputError(f"--save and --jsonl both name {options.save}. Name two files.")


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run in order; the second one ends it at once."""
    former: dict[signal.Signals, Any] = {}

    def end(signum: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(signum, former[signal.Signals(signum)])
        stop()

    for signum in (signal.SIGINT, signal.SIGTERM):
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

"""Where a feed's answers go: a file, a video, a window, a page, the terminal."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgevit.common.errors import EdgevitError
from edgevit_runtimes.live.feed_options import FeedOptions, OutputOptions
from edgevit_runtimes.live.outputs.status_line import StatusLine
from edgevit_runtimes.sources.feed_source import FeedSource

if TYPE_CHECKING:
    from edgevit.bundle.manifest import Manifest
    from edgevit_runtimes.backends.classifier import BundleClassifier
    from edgevit_runtimes.live.feed import Feed
    from edgevit_runtimes.live.observation import Observation
    from edgevit_runtimes.live.outputs.annotator import Annotator
    from edgevit_runtimes.live.outputs.json_lines import JsonLines
    from edgevit_runtimes.live.outputs.presenter import PictureOutput, Presenter
    from edgevit_runtimes.live.outputs.recorder import Recorder
    from edgevit_runtimes.live.page.server import PageServer
    from edgevit_runtimes.live.statistics import Statistics
    from edgevit_runtimes.live.status import About
    from edgevit_runtimes.sources.source_address import Address

_PICTURES_FPS = 1.0  # of a video that pictures are made into
_STREAM_FPS = 25.0  # of a video from a file that does not know its own rate


@dataclass(frozen=True)
class FeedRun:
    """What belongs together while a feed is followed."""

    classifier: BundleClassifier
    source: FeedSource
    feed: Feed
    statistics: Statistics
    options: FeedOptions
    outputs: OutputOptions
    status: StatusLine
    threads: int


class Outputs:
    """Where observations go, as the options say; opened on a stack, which closes them."""

    def __init__(self, stack: ExitStack, run: FeedRun) -> None:
        self._run, self._options, self._status = run, run.outputs, run.status
        self._lines = self._json_lines(stack)
        self.recorder = self._recorder(run.source)
        windows = [_window(run.source.address, run.feed)] if run.outputs.show else []
        shown: list[PictureOutput] = [*([self.recorder] if self.recorder else []), *windows]
        self.presenter: Presenter | None = None
        self._page: PageServer | None = None
        if shown or run.outputs.bench or run.outputs.serve:
            annotator = stack.enter_context(_annotator(run))
            if shown or run.outputs.bench:
                self.presenter = stack.enter_context(self._presenter(annotator, shown))
            if run.outputs.serve:
                self._page = stack.enter_context(_page(run, annotator))

    def take(self, observation: Observation) -> None:
        if self._page is not None:
            self._page.publish(observation)
        if self.presenter is not None:
            self.presenter.present(observation)
        if self._lines is not None:
            try:
                self._lines.write(observation, self._run.statistics.counts())
            except EdgevitError as error:
                self._lines = None
                self._status.fail(error)
                if self._options.uses_standard_output:  # nobody reads any more
                    self._run.feed.stop()
        self._status.progress(observation, self._run.statistics)

    def _json_lines(self, stack: ExitStack) -> JsonLines | None:
        from edgevit_runtimes.live.outputs.json_lines import JsonLines

        path = self._options.jsonl
        return stack.enter_context(JsonLines(path)) if path is not None else None

    def _recorder(self, source: FeedSource) -> Recorder | None:
        from edgevit_runtimes.live.outputs.recorder import Recorder
        from edgevit_runtimes.sources.source_address import Kind

        if self._options.save is None:
            return None
        feed = self._run.feed
        usual_fps = _PICTURES_FPS if source.address.kind is Kind.PICTURES else _STREAM_FPS
        fps = None if feed.live else source.request.fps or feed.fps or usual_fps
        return Recorder(self._options.save, fps)

    def _presenter(self, annotator: Annotator, shown: list[PictureOutput]) -> Presenter:
        from edgevit_runtimes.live.outputs.presenter import Presenter

        return Presenter(annotator, shown, not self._run.feed.live, self._status.fail)


def _annotator(run: FeedRun) -> Annotator:
    from edgevit_runtimes.live.outputs.annotator import Annotator

    drawn = run.statistics.add_drawing
    return Annotator(run.classifier.bundle, run.threads, drawn)


def _window(address: Address, feed: Feed) -> PictureOutput:
    from edgevit_runtimes.live.outputs.window import Window

    return Window(f"edgevit: {address.name}", feed.stop)


def _page(run: FeedRun, annotator: Annotator) -> PageServer:
    from edgevit_runtimes.live.page.access import Access, Listen, make_token
    from edgevit_runtimes.live.page.server import PageServer

    assert run.outputs.serve is not None
    listen = Listen.parse(run.outputs.serve)
    token = run.outputs.token or (None if listen.is_loopback else make_token())
    access, about = Access(listen, token), _about(run, annotator)
    page = PageServer(access, about, run.statistics, annotator, run.status.say)
    run.status.say(f"page: {page.url}")
    if token is not None and run.outputs.token is None:
        run.status.say(f"token: {token}")
    return page


def _about(run: FeedRun, annotator: Annotator) -> About:
    from edgevit_runtimes.bench.conditions import runtime_label
    from edgevit_runtimes.devices import machine
    from edgevit_runtimes.live.status import About

    bundle, variant = run.classifier.bundle, run.classifier.variant
    model, here = bundle.manifest.model, machine.describe()
    return About(
        model=model.name,
        variant=variant,
        runtime=runtime_label(bundle, variant),
        device=here.label,
        source=run.feed.name,
        trained=model.trained,
        has_superpixels=annotator.has_superpixels,
        task=bundle.manifest.task,
        colours=_colours(bundle.manifest),
    )


def _colours(manifest: Manifest) -> dict[str, str]:
    """Of the classes of masks and boxes, as they are drawn."""
    from edgevit.images.drawn.class_colours import class_colour

    if manifest.task == "classification":
        return {}
    colours = (class_colour(place) for place in range(len(manifest.classes)))
    return {
        name: "#{:02x}{:02x}{:02x}".format(*colour)
        for name, colour in zip(manifest.classes, colours, strict=True)
    }

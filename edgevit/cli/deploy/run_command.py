"""``edgevit run``: answers for pictures, or about a feed as it comes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.cli.options import (
    CheckHashesOption,
    HostOption,
    JsonOption,
    MaxPixelsOption,
    ThreadsOption,
    TimeoutOption,
    VariantOption,
    open_bundle,
    refuse_timeout_here,
)
from edgevit.cli.sources import split_sources
from edgevit.common.errors import InputError
from edgevit.common.untrusted.limits import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit.workflows.predict.loaded_model import Model
    from edgevit_runtimes.live.feed_options import FeedOptions, OutputOptions
    from edgevit_runtimes.sources.feed_source import FeedSource

_FEED = "A feed"
_CAMERA = "The source"
VIDEO_SUFFIX = ".mp4"


def run(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[BUNDLE] SOURCES...",
            help="A bundle (default: the prebuilt lla_tiny), then pictures, folders, globs, or one "
            "of: a video file, a webcam (0 or /dev/video0), rtsp://, http://, csi://0, a GStreamer "
            "pipeline, - for JPEGs on standard input.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Number of classes to show per image.")] = 3,
    unsure_below: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="P",
            help="Mark an answer 'unsure' if its top probability is below P.",
        ),
    ] = 0.5,
    save: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write annotated images: a file, or a folder for several; an .mp4 for a feed.",
        ),
    ] = None,
    variant: VariantOption = None,
    threads: ThreadsOption = 1,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    check_hashes: CheckHashesOption = False,
    json: JsonOption = False,
    rotate: Annotated[
        int,
        typer.Option(help="Rotate clockwise by 90, 180 or 270 degrees.", rich_help_panel=_CAMERA),
    ] = 0,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Mirror horizontally.", rich_help_panel=_CAMERA)
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Request this resolution from a camera.", rich_help_panel=_CAMERA
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            help="Request this frame rate from a camera; read a file at this rate.",
            rich_help_panel=_CAMERA,
        ),
    ] = None,
    pixel_format: Annotated[
        str | None,
        typer.Option(
            help="Request this pixel format from a webcam: MJPG, YUYV.", rich_help_panel=_CAMERA
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Serve a live page on this address, such as 127.0.0.1:8080.",
            rich_help_panel=_FEED,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="EDGEVIT_TOKEN",
            help="Access token of the page; required for other machines, generated if not given.",
            rich_help_panel=_FEED,
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show the feed in a window.", rich_help_panel=_FEED)
    ] = False,
    jsonl: Annotated[
        Path | None,
        typer.Option(
            help="Write one line of JSON per answer to this file; - for standard output.",
            rich_help_panel=_FEED,
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(help="Stop after this many seconds.", rich_help_panel=_FEED)
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many answers.", rich_help_panel=_FEED)
    ] = None,
    every: Annotated[
        int, typer.Option(min=1, help="Answer every N-th frame.", rich_help_panel=_FEED)
    ] = 1,
    smooth: Annotated[
        float,
        typer.Option(help="Average probabilities over this many seconds.", rich_help_panel=_FEED),
    ] = 0.0,
    track: Annotated[
        bool,
        typer.Option(
            "--track",
            help="Detectors: number objects, and follow them from frame to frame.",
            rich_help_panel=_FEED,
        ),
    ] = False,
    bench: Annotated[
        bool,
        typer.Option(
            "--bench",
            help="Draw every answer, and print how much of the time each stage takes.",
            rich_help_panel=_FEED,
        ),
    ] = False,
    host: HostOption = None,
    timeout: TimeoutOption = None,
) -> None:
    """Answer pictures, a video or a camera with a bundle: the likeliest classes of each frame."""
    from edgevit.images.image_io import set_max_pixels
    from edgevit.workflows.predict.loaded_model import Model
    from edgevit_runtimes.sources.capture_request import CaptureRequest, Orientation
    from edgevit_runtimes.sources.feed_source import FeedSource
    from edgevit_runtimes.sources.source_address import Kind

    set_max_pixels(max_pixels)
    bundle_path, texts = split_sources(sources, "run", "photo.jpg")
    if host is not None:
        _refuse_here_only({"--output": save, "--serve": serve, "--show": show, "--bench": bench})
        asked: dict[str, object] = {
            "--top": top,
            "--variant": variant,
            "--threads": threads,
            "--max-pixels": max_pixels,
            "--unsure-below": unsure_below,
            "--rotate": rotate,
            "--mirror": mirror,
            "--size": size,
            "--fps": fps,
            "--pixel-format": pixel_format,
            "--duration": duration,
            "--frames": frames,
            "--every": every,
            "--smooth": smooth,
            "--track": track,
        }
        opened = open_bundle(bundle_path, check_hashes)
        _answer_there(opened, host, texts, asked, jsonl, timeout)
        return
    refuse_timeout_here(timeout)
    model = Model(open_bundle(bundle_path, check_hashes), variant, threads, unsure_below)
    source = FeedSource.of(
        texts, CaptureRequest(_size(size), fps, pixel_format), Orientation(rotate, mirror)
    )
    token_given = str(context.get_parameter_source("token")).endswith("COMMANDLINE")
    if token_given and serve is None:  # one in the environment may be there for another run
        raise InputError("--token is what the page asks for; give --serve HOST:PORT for a page.")
    wants_video = save is not None and save.suffix.lower() == VIDEO_SUFFIX
    feed_options = (serve, show, jsonl, duration, frames, every > 1, smooth, track, bench, fps)
    with model:
        if source.address.kind is Kind.PICTURES and not (wants_video or any(feed_options)):
            _answer_files(model, source, top, save, json)
            return
        from edgevit_runtimes.live.feed_options import FeedOptions, OutputOptions

        options = FeedOptions(top, every, smooth, frames, duration, unsure_below, track)
        outputs = OutputOptions(save, serve, token, show, jsonl, bench)
        _answer_feed(model, source, options, outputs, json)


def _refuse_here_only(given: dict[str, object]) -> None:
    named = [name for name, value in given.items() if value]
    if named:
        raise InputError(
            f"{', '.join(named)} cannot be used with --host: answers come back as lines of JSON. "
            "For a page on the device, see: edgevit service install --help"
        )


def _answer_there(
    bundle: Bundle,
    host: str,
    sources: list[str],
    options: dict[str, object],
    jsonl: Path | None,
    timeout_s: float | None,
) -> None:
    """Lines of JSON as they come, on standard output or in a file."""
    from edgevit.common.console import write_lines
    from edgevit.common.progress import progress_for_stderr
    from edgevit.workflows.remote.stream_there import run_there

    progress = progress_for_stderr()
    answers = run_there(
        bundle, host, sources, options=options, timeout_s=timeout_s, progress=progress
    )
    target = None if jsonl in (None, Path("-")) else jsonl
    count = write_lines(target, answers)
    progress.line(f"{host}: {count} answers")


def _answer_files(
    model: Model, source: FeedSource, top: int, save: Path | None, json: bool
) -> None:
    from edgevit.common.console import print_line, show
    from edgevit.workflows.predict.predict_files import predict_files

    found = predict_files(
        model, source.address.files, top=top, orientation=source.orientation, save=save
    )
    show(found, json)
    for note in model.notes:
        print_line(f"note: {note}", error=True)
    for prediction in found.predictions:
        for said in prediction.notes:
            print_line(f"note: {prediction.source}: {said}", error=True)
    for error in found.failed.values():
        print_line(f"error: {error}", error=True)
    if found.failed:
        raise typer.Exit(2)


def _answer_feed(
    model: Model, source: FeedSource, options: FeedOptions, outputs: OutputOptions, json: bool
) -> None:
    from edgevit.common.console import show
    from edgevit.workflows.predict.stream import follow_feed
    from edgevit_runtimes.live.outputs.status_line import StatusLine

    if json and outputs.uses_standard_output:
        raise InputError(
            "--jsonl - and --json both write to standard output. Give --jsonl a file's name."
        )
    status = StatusLine()
    summary = follow_feed(model, source, options, outputs, status)
    if outputs.uses_standard_output:  # which is for programs
        status.say(summary.line)
    else:
        show(summary, json)
    for note in model.notes:
        status.say(f"note: {note}")
    if summary.errors:
        raise typer.Exit(2)


def _size(text: str | None) -> tuple[int, int] | None:
    """``1280x720`` as (width, height)."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None:
        raise InputError(f"--size got '{text}'; expected WIDTHxHEIGHT such as 1280x720.")
    return int(match[1]), int(match[2])

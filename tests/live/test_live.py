"""The loop: the newest frame, nothing lost of a file, reconnecting, counts and durations."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.images.image_io import Image
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends.classifier import BundleClassifier
from edgevit_runtimes.live.durations import Durations
from edgevit_runtimes.live.feed import Feed
from edgevit_runtimes.live.feed_options import FeedOptions
from edgevit_runtimes.live.loop import observe
from edgevit_runtimes.live.slot import Slot
from edgevit_runtimes.live.smoothing import Smoothing
from edgevit_runtimes.live.statistics import STAGES, WORK, Statistics
from edgevit_runtimes.sources.capture_request import Orientation
from edgevit_runtimes.sources.frame import Decode, SourceLostError, UnreadableFrameError
from support import Command, environment
from support.cameras import (
    CLIP_FRAMES,
    free_port,
    jpeg,
    mjpeg_camera,
    plain,
    rtsp_camera,
    wait_for,
    write_clip,
)
from support.needs import needs_rtsp_server

AS_IT_IS = Orientation()


class ScriptedSource:
    """Hands over what a script says: a picture, or an error to raise; then its end.

    live: pictures come every ``interval_s``, and the end is a loss.
    """

    name, fps, expected = "scripted", None, None

    lag_s, is_behind = 0.0, False

    def __init__(
        self, script: list[Image | Exception], live: bool, interval_s: float = 0.0
    ) -> None:
        self._script = iter(script)
        self.live = live
        self._interval_s = interval_s
        self._item: Image | Exception | None = None
        self.grabbed = 0
        self.closed = False

    def grab(self) -> bool:
        time.sleep(self._interval_s)
        self._item = next(self._script, None)
        self.grabbed += 1
        if isinstance(self._item, SourceLostError):
            raise self._item
        if self._item is None and self.live:
            raise SourceLostError("ended")
        return self._item is not None

    def retrieve(self) -> Decode:
        if isinstance(self._item, Exception):
            raise self._item
        return partial(self._decode, self._item)

    def _decode(self, item: Image | None) -> Image:
        assert item is not None
        return item

    def close(self) -> None:
        self.closed = True


class SteppedSource:
    """A live source that sends a numbered picture when it is told to."""

    name, live, fps, expected, lag_s, is_behind = "stepped", True, None, None, 0.0, False

    def __init__(self) -> None:
        self._sent = threading.Semaphore(0)
        self._number = -1
        self._closed = False

    def send(self, count: int) -> None:
        self._sent.release(count)

    def grab(self) -> bool:
        while not self._sent.acquire(timeout=0.05):
            if self._closed:
                raise SourceLostError("ended")
        self._number += 1
        return True

    def retrieve(self) -> Decode:
        return partial(plain, (self._number, 0, 0), (4, 4))

    def close(self) -> None:
        self._closed = True


def numbered(count: int) -> list[Image]:
    """Pictures whose first value is their number."""
    return [plain((i % 256, 0, 0), (4, 4)) for i in range(count)]


def file_feed(script: list[Image | Exception], **options: object) -> Feed:
    return Feed(lambda: ScriptedSource(script, live=False), AS_IT_IS, **options)


class TestSlot:
    def test_a_newer_item_replaces_an_older(self) -> None:
        slot: Slot[int] = Slot(replaces=True)
        for item in (1, 2, 3):
            assert slot.put(item)
        assert (slot.take(0), slot.take(0), slot.replaced) == (3, None, 2)

    def test_or_waits_for_it(self) -> None:
        slot: Slot[int] = Slot(replaces=False)
        taken: list[int | None] = []
        thread = threading.Thread(target=lambda: [slot.put(i) for i in range(20)])
        thread.start()
        while len(taken) < 20:
            taken.append(slot.take(1.0))
        thread.join()
        assert taken == list(range(20))
        assert slot.replaced == 0

    def test_closing_wakes_who_waits(self) -> None:
        slot: Slot[int] = Slot(replaces=False)
        slot.put(1)
        results: list[object] = []
        thread = threading.Thread(target=lambda: results.append(slot.put(2)))
        thread.start()
        slot.close()
        thread.join(2)
        assert results == [False]
        assert not slot.finished, "what was there can still be taken"
        assert slot.take(0) == 1
        assert slot.finished


class TestFeed:
    def test_nothing_of_a_file_is_lost(self) -> None:
        with file_feed(numbered(50)) as feed:
            taken = [(frame.number, int(frame.picture[0, 0, 0])) for frame in feed]
        assert taken == [(i, i) for i in range(50)]
        assert feed.ended
        assert (feed.dropped, feed.counts.captured) == (0, 50)

    def test_one_in_so_many(self) -> None:
        with file_feed(numbered(10), every=3) as feed:
            assert [frame.number for frame in feed] == [0, 3, 6, 9]
        assert feed.counts.skipped == 6

    def test_a_file_at_a_pace(self) -> None:
        began_s = time.monotonic()
        with file_feed(numbered(6), pace_fps=50) as feed:
            assert len(list(feed)) == 6
        assert time.monotonic() - began_s >= 0.1, "no sooner than five intervals of 20 ms"

    def test_a_slow_reader_gets_the_newest(self) -> None:
        """The source sends nothing but what the test lets it, so what is newest is known."""
        source = SteppedSource()
        with Feed(lambda: source, AS_IT_IS, say=print) as feed:
            frames = iter(feed)
            threading.Timer(0.1, source.send, [1]).start()
            assert next(frames).number == 0
            source.send(20)
            wait_for(lambda: feed.dropped == 19, "all but the one taken and the newest")
            assert next(frames).number == 20
            source.send(30)
            wait_for(lambda: feed.dropped == 48, "all but the two taken and the newest")
            frame = next(frames)
            assert (frame.number, frame.picture[0, 0, 0], feed.counts.captured) == (50, 50, 51)

    def test_what_queued_up_before_the_loop_was_ready_is_not_counted(self) -> None:
        source = ScriptedSource(numbered(200), live=True, interval_s=0.002)
        with Feed(lambda: source, AS_IT_IS, say=print) as feed:
            wait_for(lambda: source.grabbed > 20, "frames that nobody is ready for")
            assert (feed.counts.captured, feed.dropped) == (0, 0)
            first = next(iter(feed))
            assert int(first.picture[0, 0, 0]) - first.number >= 20, (
                "counted from when it was ready"
            )

    def test_a_damaged_frame_is_counted_and_said_of_a_file(self) -> None:
        said: list[str] = []
        script = [*numbered(2), UnreadableFrameError("x.png is damaged"), *numbered(1)]
        with file_feed(script, say=said.append) as feed:
            assert len(list(feed)) == 3
        assert feed.counts.unreadable == 1
        assert said == ["x.png is damaged"]

    def test_an_unexpected_error_is_not_swallowed(self) -> None:
        with file_feed([*numbered(1), ZeroDivisionError()]) as feed:
            frames = iter(feed)
            next(frames)
            with pytest.raises(ZeroDivisionError):
                list(frames)

    def test_what_cannot_be_opened_at_first_is_an_error(self) -> None:
        def refuse() -> ScriptedSource:
            raise InputError("no such camera")

        with pytest.raises(InputError, match="no such camera"):
            Feed(refuse, AS_IT_IS)

    def test_a_lost_stream_is_opened_until_it_is_back(self) -> None:
        """It ends, refuses twice, opens and ends at once, and then comes back."""
        end = SourceLostError("the stream ended")
        script: list[object] = [numbered(3), InputError("no"), InputError("no"), [end], numbered(4)]
        sources: list[ScriptedSource] = []
        said: list[str] = []

        def open_next() -> ScriptedSource:
            if not script:
                raise InputError("gone for good")
            item = script.pop(0)
            if isinstance(item, InputError):
                raise item
            assert isinstance(item, list)
            sources.append(ScriptedSource(item, live=True, interval_s=0.002))
            return sources[-1]

        with Feed(open_next, AS_IT_IS, say=said.append) as feed:
            for frame in feed:
                if frame.picture[0, 0, 0] == 3:  # the last of the four
                    break
            wait_for(lambda: not feed.connected, "the second loss")
        assert feed.counts.reconnects == 1, "one that ends at once was not back"
        assert said[0] == "scripted: ended; connecting again"
        assert "back after" in said[1]
        assert len(said) == 3
        assert all(source.closed for source in sources)

    def test_stopping_ends_the_iteration(self) -> None:
        source = ScriptedSource(numbered(10_000), live=True, interval_s=0.001)
        with Feed(lambda: source, AS_IT_IS, say=print) as feed:
            threading.Timer(0.1, feed.stop).start()
            assert len(list(feed)) > 5
        assert not feed.ended
        wait_for(lambda: source.closed, "the source to be closed")

    def test_a_stream_may_change_its_size(self) -> None:
        script = [plain((1, 1, 1), (8, 6)), plain((1, 1, 1), (20, 10))]
        with file_feed(script) as feed, BundleClassifier(Bundle.open(PREBUILT_BUNDLE)) as model:
            sizes = [
                observation.frame.picture.shape[:2]
                for observation in observe(feed, model, Statistics(feed))
            ]
        assert sizes == [(6, 8), (10, 20)]


def test_percentiles_of_a_histogram() -> None:
    durations, samples = Durations(), np.random.default_rng(0).lognormal(15, 0.7, 5000).astype(int)
    for sample in samples:
        durations.add(int(sample))
    for percent in (50, 90, 99):
        exact = np.percentile(samples, percent) / 1e6
        assert durations.percentile_ms(percent) == pytest.approx(exact, rel=0.012)
    summary = durations.summary()
    assert summary["mean"] == pytest.approx(samples.mean() / 1e6, rel=1e-3)
    assert summary["samples"] == 5000


def test_few_durations_have_few_percentiles() -> None:
    durations = Durations()
    assert durations.summary() == {
        "p50": None,
        "p90": None,
        "p99": None,
        "mean": None,
        "samples": 0,
    }
    durations.add(0)
    durations.add(10**18)
    assert durations.percentile_ms(50) == pytest.approx(0.001, rel=0.01)
    assert durations.percentile_ms(90) is None


def test_smoothing_forgets_at_its_rate() -> None:
    """After ln 2 times its seconds, half of the old is left, in one step or in many."""
    old, new = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    half_s = 2.0 * np.log(2)
    for steps in (1, 7):
        smoothing = Smoothing(2.0)
        np.testing.assert_array_equal(smoothing.add(old, 100.0), old)
        for step in range(1, steps + 1):
            mean = smoothing.add(new, 100.0 + half_s * step / steps)
        np.testing.assert_allclose(mean, [0.5, 0.5], atol=1e-6)


def test_without_smoothing_every_frame_stands_for_itself() -> None:
    smoothing = Smoothing(0)
    smoothing.add(np.array([1, 0], np.float32), 0)
    np.testing.assert_array_equal(smoothing.add(np.array([0, 1], np.float32), 0.1), [0, 1])


def test_answers_are_those_of_the_pictures(photos: list[Image]) -> None:
    with (
        file_feed(list(photos)) as feed,
        BundleClassifier(Bundle.open(PREBUILT_BUNDLE)) as classifier,
    ):
        statistics = Statistics(feed)
        observed = list(observe(feed, classifier, statistics, FeedOptions(top=2)))
        expected = list(classifier.answer(photos, 2))
    assert [list(o.answers) for o in observed] == expected
    for observation in observed:
        stages = observation.stages_ns()
        assert all(duration >= 0 for duration in stages.values())
        parts = ("decode", "waiting", "resize", "inference")
        assert sum(stages[part] for part in parts) == stages["latency"]
        assert stages["inference"] > 0
    summary = statistics.summary()
    assert summary["frames"]["answered"] == summary["capture_to_answer_ms"]["samples"] == 4
    assert set(summary["stages_ms"]) == set(STAGES)
    assert sum(summary["share"].values()) == pytest.approx(1, abs=1e-3)


def test_a_model_that_gives_its_superpixels_out(lla_bundle: Path, photos: list[Image]) -> None:
    with file_feed(photos[:1]) as feed, BundleClassifier(Bundle.open(lla_bundle)) as classifier:
        (observation,) = observe(feed, classifier, Statistics(feed))
    assert observation.labels is not None
    assert observation.labels.shape == (40, 40)


def test_a_clip_from_the_command_line(clip: Path, tmp_path: Path, edgevit: Command) -> None:
    lines = tmp_path / "answers.jsonl"
    ended = edgevit("run", PREBUILT_BUNDLE, clip, "--jsonl", lines, "--bench", "--json", "--top", 2)
    assert ended.code == 0, ended.err
    summary = json.loads(ended.out)
    assert summary["frames"]["answered"] == CLIP_FRAMES
    assert summary["frames"]["dropped"] == 0
    assert set(summary["share"]) == set(WORK)
    assert all(share > 0 for share in summary["share"].values())
    answers = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [answer["frame"] for answer in answers] == list(range(CLIP_FRAMES))
    assert {(a["width_px"], a["height_px"]) for a in answers} == {(320, 240)}
    assert all(len(a["answers"]) == 2 and a["ms"]["latency"] > 0 for a in answers)
    assert answers[-1]["frames"]["answered"] == CLIP_FRAMES


def test_a_clip_prints_a_table(clip: Path, edgevit: Command) -> None:
    ended = edgevit("run", clip, "--every", 20, "--bench")
    assert ended.code == 0, ended.err
    for expected in ("capture to answer", "inference", "drawing", "share", "3 answered"):
        assert expected in ended.out


def test_the_end_after_so_many_answers_or_seconds(clip: Path, edgevit: Command) -> None:
    ended = edgevit("run", clip, "--frames", 7, "--json")
    assert json.loads(ended.out)["frames"]["answered"] == 7
    ended = edgevit("run", clip, "--fps", 20, "--duration", 0.5, "--json")
    assert ended.code == 0, ended.err
    assert 1 <= json.loads(ended.out)["frames"]["answered"] < 30


def test_pictures_as_a_feed(photo_folder: Path, tmp_path: Path, edgevit: Command) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no")
    ended = edgevit("run", f"{photo_folder}/*.png", bad, "--jsonl", "-", "--top", 1)
    assert ended.code == 0, ended.err
    answers = [json.loads(line) for line in ended.out.splitlines()]
    assert [Path(answer["source"]).name for answer in answers] == [
        f"photo{i}.png" for i in range(4)
    ]
    assert "bad.png is damaged" in ended.err
    assert "4 answered, 0 dropped, 1 unreadable" in ended.err


def test_a_truncated_video_is_played_to_where_it_ends(
    photos: list[Image], tmp_path: Path, edgevit: Command
) -> None:
    whole, cut = write_clip(tmp_path / "whole.avi", photos[0]), tmp_path / "cut.avi"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    ended = edgevit("run", cut, "--json")
    assert ended.code == 0, ended.err
    assert 0 < json.loads(ended.out)["frames"]["answered"] < CLIP_FRAMES
    assert f"though it announces {CLIP_FRAMES}; it is cut off" in ended.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--duration", "0"], "--duration must be above 0"),
        (["--duration", "nan"], "--duration must be above 0"),
        (["--smooth", "-1"], "--smooth must be"),
        (["--output", "out.jpg"], "ends in .mp4"),
        (["--serve", "nowhere"], "HOST:PORT"),
        (["--serve", "127.0.0.1:70000"], "HOST:PORT"),
        (["--serve", "192.0.2.1:0"], "Cannot serve on 192.0.2.1"),
        (["--serve", "0.0.0.0:0", "--token", "short"], "at least 16"),
        (["--jsonl", "/dev/null/x"], "Cannot write"),
        (["--jsonl", "-", "--json"], "both write to standard output"),
        (["--jsonl", "o.mp4", "--output", "./o.mp4"], "both name o.mp4"),
        (["--token", "0123456789abcdef"], "give --serve"),
        (["--variant", "int4"], "no variant 'int4'"),
        (["--show"], "--show"),
    ],
)
def test_bad_feed_options(
    options: list[str],
    message: str,
    clip: Path,
    edgevit: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for display in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(display, raising=False)
    ended = edgevit("run", clip, *options)
    assert ended.code == 2
    assert message in ended.one_message


@pytest.mark.parametrize("option", ["--output", "--jsonl"])
def test_a_source_is_never_overwritten(option: str, clip: Path, edgevit: Command) -> None:
    before = clip.read_bytes()
    ended = edgevit("run", clip, option, clip)
    assert ended.code == 2
    assert "is the source itself" in ended.one_message
    assert clip.read_bytes() == before


def test_no_frame_can_be_read(tmp_path: Path, edgevit: Command) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no")
    kept, new = tmp_path / "kept.jsonl", tmp_path / "new.jsonl"
    kept.write_text("{}\n")
    for lines in (kept, new):
        ended = edgevit("run", bad, "--jsonl", lines)
        assert ended.code == 2
        assert "None of the 1 frames" in ended.err
    assert kept.read_text() == "{}\n", "of the run before"
    assert not new.exists()


def test_lines_replace_those_of_the_run_before(
    photo_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    lines = tmp_path / "answers.jsonl"
    for _ in range(2):
        ended = edgevit("run", photo_folder, "--jsonl", lines)
        assert ended.code == 0, ended.err
        assert lines_in(lines) == 4


def test_a_device_that_takes_nothing_is_named(photo_folder: Path, edgevit: Command) -> None:
    ended = edgevit("run", photo_folder, "--jsonl", "/dev/full")
    assert ended.code == 2
    assert "Cannot write /dev/full: No space left on device" in ended.err


def test_the_counts_add_up(clip: Path, edgevit: Command) -> None:
    ended = edgevit("run", clip, "--frames", 3, "--jsonl", "-")
    assert ended.code == 0, ended.err
    summary = ended.err.strip().splitlines()[-1].rpartition(": ")[2]
    captured, *others = (int(count.split()[0]) for count in summary.split(", "))
    assert captured == sum(others)


RunProcess = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[RunProcess]:
    """``edgevit run ...`` in a process of its own, ended with the test."""
    processes: list[subprocess.Popen[str]] = []

    def call(*arguments: object, most_bytes: int | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "edgevit", "run", *map(str, arguments)]
        if most_bytes is not None:  # of a file; Python turns the signal into an error
            command = ["prlimit", f"--fsize={most_bytes}", *command]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        processes.append(process)
        return process

    yield call
    for process in processes:
        process.kill()
        process.communicate()


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_a_summary(
    signum: signal.Signals, clip: Path, tmp_path: Path, start: RunProcess
) -> None:
    lines = tmp_path / "answers.jsonl"
    process = start(clip, "--fps", 20, "--jsonl", lines, "--json")
    wait_for(lambda: lines_in(lines) > 3, "answers")
    process.send_signal(signum)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert json.loads(out)["frames"]["answered"] == lines_in(lines)
    assert "Traceback" not in err


def test_a_camera_that_is_killed_and_comes_back(
    clip: Path, tmp_path: Path, start: RunProcess
) -> None:
    """Answers go on, and nothing that is written anywhere holds the password."""
    lines, port = tmp_path / "answers.jsonl", free_port()
    camera = (clip, port, "--password", "me:s3cret")
    with mjpeg_camera(*camera) as server:
        process = start(f"http://me:s3cret@127.0.0.1:{port}/?key=s3cret", "--jsonl", lines)
        wait_for(lambda: lines_in(lines) > 3, "answers")
        server.kill()
    before = lines_in(lines)
    with mjpeg_camera(*camera):
        wait_for(lambda: lines_in(lines) > before + 5, "answers after the return")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "connecting again" in err
    assert "back after" in err
    assert "1 reconnects" in " ".join(out.split()), "wherever the line was broken"
    for text in (out, err, lines.read_text()):
        assert "s3cret" not in text
        assert "me:" not in text


@needs_rtsp_server
def test_an_rtsp_camera_that_is_killed_and_comes_back(
    photos: list[Image], tmp_path: Path, start: RunProcess
) -> None:
    for i in range(30):
        view = photos[0][2 * i : 2 * i + 240, :320]
        (tmp_path / f"{i:05d}.jpg").write_bytes(jpeg(view))
    lines, port = tmp_path / "answers.jsonl", free_port()
    with rtsp_camera(tmp_path, port) as server:
        process = start(f"rtsp://127.0.0.1:{port}/camera", "--jsonl", lines)
        wait_for(lambda: lines_in(lines) > 10, "answers")
        server.kill()
    before = lines_in(lines)
    with rtsp_camera(tmp_path, port):
        wait_for(lambda: lines_in(lines) > before + 10, "answers after the return")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "1 reconnects" in " ".join(out.split()), "wherever the line was broken"


def test_a_full_disk_leaves_whole_lines_and_answers_go_on(
    clip: Path, tmp_path: Path, start: RunProcess
) -> None:
    lines = tmp_path / "answers.jsonl"
    process = start(clip, "--jsonl", lines, "--json", most_bytes=4000)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"Cannot write {lines}: File too large" in err
    summary = json.loads(out)
    assert summary["frames"]["answered"] == CLIP_FRAMES
    assert len(summary["errors"]) == 1
    text = lines.read_text()
    assert text.endswith("\n")
    assert 1 < len([json.loads(line) for line in text.splitlines()]) < CLIP_FRAMES


def test_nobody_reads_standard_output_any_more(clip: Path, start: RunProcess) -> None:
    process = start(clip, "--jsonl", "-")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.wait(20)
    assert "Traceback" not in err
    assert process.returncode == 2
    assert "Broken pipe" in err

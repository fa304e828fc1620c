"""Annotated video: it plays, whatever ends the run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevit.common.errors import EdgevitError
from edgevit.images.image_io import Image
from edgevit.inference.answers import Answer
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.outputs.recorder import Recorder, whole_fragments_bytes
from edgevit_runtimes.sources.frame import Frame
from support import Command, begin, environment
from support.cameras import CLIP_FRAMES, plain, wait_for


def observed(picture: Image, number: int = 0, captured_ns: int = 0) -> Observation:
    frame = Frame(picture, number, "camera", captured_ns, captured_ns / 1e9, 0, 0)
    probabilities = np.array([0.9], np.float32)
    return Observation(frame, (Answer("tench", 0.9),), picture, None, 0, 0, 0, probabilities)


def played(path: Path) -> list[tuple[float, Image]]:
    """Seconds and pictures, by a decoder that is strict about damage."""
    import av

    with av.open(str(path)) as container:
        return [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def record(path: Path, pictures: list[Image], fps: float | None = 30.0) -> Recorder:
    recorder = Recorder(path, fps)
    for number, picture in enumerate(pictures):
        recorder.show(observed(picture, number, number * 100_000_000), picture)
    recorder.close()
    return recorder


def test_a_clip_becomes_an_annotated_video(clip: Path, tmp_path: Path, edgevit: Command) -> None:
    target = tmp_path / "new" / "out.mp4"
    ended = edgevit("run", clip, "--output", target, "--json")
    assert ended.code == 0, ended.err
    saved = json.loads(ended.out)["saved"]
    assert saved == {"video": str(target), "frames": CLIP_FRAMES, "not_drawn": 0, "fitted": 0}
    frames = played(target)
    assert [seconds for seconds, _ in frames] == pytest.approx(
        [i / 30 for i in range(CLIP_FRAMES)], abs=1e-4
    )
    original = cv2.cvtColor(cv2.VideoCapture(str(clip)).read()[1], cv2.COLOR_BGR2RGB)
    changed = np.abs(frames[0][1].astype(int) - original).max(-1) > 60
    assert frames[0][1].shape == original.shape
    assert 0.01 < changed.mean() < 0.5, "outlines and a caption, and the picture below them"
    assert changed[-20:, :60].mean() > changed[:20, :60].mean(), "the caption is at the bottom"


def test_a_cameras_frames_are_shown_when_they_were_captured(tmp_path: Path) -> None:
    record(tmp_path / "out.mp4", [plain((i, 0, 0)) for i in (10, 120, 240)], fps=None)
    assert [seconds for seconds, _ in played(tmp_path / "out.mp4")] == pytest.approx([0, 0.1, 0.2])


def test_one_in_three_keeps_its_time(clip: Path, tmp_path: Path, edgevit: Command) -> None:
    assert edgevit("run", clip, "--output", tmp_path / "o.mp4", "--every", 3).code == 0
    times = [seconds for seconds, _ in played(tmp_path / "o.mp4")]
    assert len(times) == CLIP_FRAMES // 3
    assert {round(b - a, 3) for a, b in pairwise(times)} == {0.1}


@pytest.mark.parametrize("size", [(65, 49), (1, 1), (3, 200), (64, 48)])
def test_any_size_can_be_recorded(size: tuple[int, int], tmp_path: Path) -> None:
    record(tmp_path / "out.mp4", [plain((200, 40, 40), size)] * 3)
    frames = played(tmp_path / "out.mp4")
    assert len(frames) == 3
    width, height = size
    assert frames[0][1].shape == (height + height % 2, width + width % 2, 3)


def test_other_sizes_are_fitted_in(tmp_path: Path) -> None:
    """Upright into wide: black at the sides, the aspect kept."""
    recorder = record(
        tmp_path / "out.mp4", [plain((200,) * 3, (64, 32)), plain((200,) * 3, (32, 64))]
    )
    assert recorder.fitted == 1
    last = played(tmp_path / "out.mp4")[-1][1]
    assert last.shape == (32, 64, 3)
    assert last[:, 30:34].min() > 150
    assert max(last[:, :20].max(), last[:, -20:].max()) < 60


def test_no_frame_makes_no_file(tmp_path: Path) -> None:
    record(tmp_path / "out.mp4", [])
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("place", ["/dev/null/out.mp4", "/proc/out.mp4"])
def test_a_place_that_cannot_be_written_to(place: str) -> None:
    with pytest.raises(EdgevitError, match=f"Cannot write {place}"):
        record(Path(place), [plain((0, 0, 0))])


def test_a_fragment_that_was_torn_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    record(tmp_path / "out.mp4", [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(90)])
    data = (tmp_path / "out.mp4").read_bytes()
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(data[: int(len(data) * 0.6)])
    whole = whole_fragments_bytes(torn)
    assert 0 < whole < torn.stat().st_size
    torn.write_bytes(data[:whole])
    assert 30 <= len(played(torn)) <= 54, "a strict decoder finds no damage"


@pytest.fixture
def recording(clip: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, Path]]:
    """A run at the pace of a camera, its video, its lines."""
    video, lines = tmp_path / "out.mp4", tmp_path / "answers.jsonl"
    command = ["run", clip, "--fps", 25, "--output", video, "--jsonl", lines]
    with begin(*command) as process:
        yield process, video, lines
        process.kill()


def test_after_kill_9_what_was_written_plays(
    recording: tuple[subprocess.Popen[str], Path, Path],
) -> None:
    process, video, lines = recording
    wait_for(lambda: lines.exists() and lines.read_bytes().count(b"\n") > 45, "answers")
    process.send_signal(signal.SIGKILL)
    process.wait()
    capture, frames = cv2.VideoCapture(str(video)), 0
    while capture.grab():
        frames += 1
    assert frames >= 20, "all but the last second or so"


def test_after_ctrl_c_all_of_it_plays(
    recording: tuple[subprocess.Popen[str], Path, Path],
) -> None:
    process, video, lines = recording
    wait_for(lambda: lines.exists() and lines.read_bytes().count(b"\n") > 10, "answers")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert len(played(video)) == lines.read_bytes().count(b"\n")


def test_a_disk_that_fills_leaves_what_plays(clip: Path, tmp_path: Path, edgevit: Command) -> None:
    """Answers go on to the end; the exit code says that something went wrong."""
    whole, video = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    assert edgevit("run", clip, "--output", whole).code == 0
    room = whole.stat().st_size * 3 // 4
    command = ["prlimit", f"--fsize={room}", sys.executable, "-m", "edgevit", "run", clip, "--json"]
    ended = subprocess.run(
        [*map(str, command), "--output", str(video)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert ended.returncode == 2
    assert f"Cannot write {video}: File too large" in ended.stderr
    summary = json.loads(ended.stdout)
    assert summary["frames"]["answered"] == CLIP_FRAMES
    assert 0 < len(played(video)) < CLIP_FRAMES


def test_a_changed_number_is_never_before_the_last(tmp_path: Path) -> None:
    """Two frames captured in the same moment are still shown one after the other."""
    recorder = Recorder(tmp_path / "out.mp4", None)
    first = observed(plain((0, 0, 0)), 0, 1_000)
    for observation in (first, replace(first), first):
        recorder.show(observation, observation.frame.picture)
    recorder.close()
    times = [seconds for seconds, _ in played(tmp_path / "out.mp4")]
    assert times == sorted(set(times))

"""Objects of a clip keep their numbers from frame to frame: in lines of JSON and in Python."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import edgevit
from edgevit.common import libraries
from edgevit.common.errors import InputError, MissingExtraError
from edgevit.common.installation.install_command import install_command
from edgevit.workflows.export import export
from support import python
from support.made_once import folder_of_the_run, made_once
from support.models.colour_detector import CLASSES, ColourDetector
from support.needs import needs_tracking

FRAMES = 16
HIDDEN = range(6, 9)  # frames in which the red one is not there
RED, BLUE = (210, 30, 30), (30, 30, 210)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(target: Path) -> None:
        export(ColourDetector(), target / "it.edgevit", classes=CLASSES, parity_count=2)

    return made_once(folder_of_the_run(tmp_path_factory) / "colours", make) / "it.edgevit"


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red and a blue rectangle that pass each other."""
    clip = tmp_path_factory.mktemp("moving") / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (192, 128))
    for number in range(FRAMES):
        frame = np.full((128, 192, 3), 128, np.uint8)
        if number not in HIDDEN:
            left = 10 + 4 * number
            frame[16:56, left : left + 40] = RED
        left = 140 - 8 * number
        frame[72:112, left : left + 40] = BLUE
        writer.write(frame[..., ::-1])
    writer.release()
    return clip


@needs_tracking
def test_objects_keep_their_numbers(bundle: Path, moving: Path, tmp_path: Path) -> None:
    lines, saved = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    ended = python(
        "-m", "edgevit", "run", bundle, moving, "--track", "--jsonl", lines, "--output", saved
    )
    assert ended.code == 0, ended.err
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    seen = [{each["label"]: each["track"] for each in row["objects"]} for row in rows]
    expected = [
        {"blue": 2} if number in HIDDEN else {"red": 1, "blue": 2} for number in range(FRAMES)
    ]
    assert seen == expected
    assert saved.stat().st_size > 0


@needs_tracking
def test_results_of_a_stream_have_numbers(bundle: Path, moving: Path) -> None:
    with edgevit.load(bundle) as model:
        followed = list(model.stream(moving, track=True, frames=3))
        (alone, *_) = model.stream(moving, frames=1)
    assert [result.tracks.tolist() for result in followed] == [[1, 2]] * 3
    assert alone.tracks is None
    assert "track" not in alone.to_dict()["objects"][0]
    assert (followed[0].drawn() != alone.drawn()).any(), "the plates say the numbers"


@needs_tracking
def test_only_objects_are_followed(lla_bundle: Path, moving: Path) -> None:
    ended = python("-m", "edgevit", "run", lla_bundle, moving, "--track")
    assert ended.code == 2
    assert "--track follows the objects of a detector" in ended.err
    with edgevit.load(lla_bundle) as model, pytest.raises(InputError, match="detector"):
        model.stream(moving, track=True)


def test_a_missing_library_is_named_with_its_command(
    bundle: Path, moving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "is_installed", lambda module: module != "similari")
    with edgevit.load(bundle) as model, pytest.raises(MissingExtraError) as raised:
        model.stream(moving, track=True)
    assert install_command("track") in str(raised.value)

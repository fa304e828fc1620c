"""Objects of a clip keep their numbers from frame to frame: in lines of JSON and in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edgevit
from edgevit.common import libraries
from edgevit.common.errors import InputError, MissingExtraError
from edgevit.common.installation.install_command import install_command
from support import python
from support.needs import needs_tracking

FRAMES = 16  # of the clip
HIDDEN = range(6, 9)  # those without the red object


@needs_tracking
def test_objects_keep_their_numbers(colour_detector: Path, moving: Path, tmp_path: Path) -> None:
    lines, saved = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    ended = python(
        "-m",
        "edgevit",
        "run",
        colour_detector,
        moving,
        "--track",
        "--jsonl",
        lines,
        "--output",
        saved,
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
def test_results_of_a_stream_have_numbers(colour_detector: Path, moving: Path) -> None:
    with edgevit.load(colour_detector) as model:
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
    colour_detector: Path, moving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "is_installed", lambda module: module != "similari")
    with edgevit.load(colour_detector) as model, pytest.raises(MissingExtraError) as raised:
        model.stream(moving, track=True)
    assert install_command("track") in str(raised.value)

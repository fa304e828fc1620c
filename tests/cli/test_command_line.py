"""What is mistyped gets one line, the way to the help, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.zoo import PREBUILT_BUNDLE
from support import Command


@pytest.mark.parametrize(
    ("arguments", "message", "command"),
    [
        (("runn",), "No such command 'runn'. Did you mean 'run'?", "edgevit"),
        (("run", "--nope"), "No such option: --nope", "edgevit run"),
        (("bench", "--samples", "x"), "Invalid value for '--samples'", "edgevit bench"),
        (("train",), "Missing option '--data'.", "edgevit train"),
        (("devices", "add"), "Missing argument", "edgevit devices add"),
    ],
)
def test_a_mistyped_command_line(
    arguments: tuple[str, ...], message: str, command: str, edgevit: Command
) -> None:
    ended = edgevit(*arguments)
    assert ended.code == 2
    assert message in ended.one_message
    assert ended.one_message.endswith(f" See '{command} --help'.")


def test_a_mistyped_command_line_shows_no_password(edgevit: Command) -> None:
    ended = edgevit("export", "rtsp://user:secret@camera/live")
    assert ended.code == 2
    assert "rtsp://***@camera/live" in ended.one_message


def test_without_a_command_the_help_is_shown(edgevit: Command) -> None:
    ended = edgevit()
    assert ended.code == 2
    assert "Usage: edgevit" in ended.out
    assert not ended.err.strip()


@pytest.mark.parametrize(("command", "option"), [("eval", "--confusion"), ("quantize", "--plot")])
def test_a_picture_that_cannot_be_written_is_refused_at_once(
    command: str, option: str, class_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    (tmp_path / "file").write_text("no folder")
    data = ("--data", class_folder)
    ended = edgevit(command, PREBUILT_BUNDLE, *data, option, tmp_path / "file" / "plot.png")
    assert ended.code == 2
    assert "Cannot write" in ended.one_message

"""Former names of options work, with one warning each; what is gone says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from edgevit.cli import app
from edgevit.cli.renamed import GONE, GONE_COMMANDS, RENAMED, with_current_names
from support import Command

EVERY = [(command, *pair) for command, names in RENAMED.items() for pair in names.items()]


@pytest.mark.parametrize(("command", "former", "current"), EVERY)
def test_every_former_name_becomes_an_option_that_exists(
    command: str, former: str, current: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {
        name
        for parameter in typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert current in options
    assert former not in options
    assert with_current_names([command, former, "1"]) == [command, current, "1"]
    assert with_current_names([command, f"{former}=1"]) == [command, f"{current}=1"]
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 2
    assert f"{former} is called {current} now" in warnings[0]


@pytest.mark.parametrize("switch", GONE["bench"])
def test_a_switch_that_is_gone_does_nothing(
    switch: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["bench", switch, "model.edgevit", "--threads", "2"]
    assert with_current_names(given) == ["bench", "model.edgevit", "--threads", "2"]
    (warning,) = capsys.readouterr().err.splitlines()
    assert f"{switch} does nothing" in warning
    assert "--target native" in warning


@pytest.mark.parametrize("arguments", [(), ("--remove",), ("--help",)])
def test_a_command_that_is_gone_says_what_there_is_instead(
    arguments: tuple[str, ...], edgevit: Command
) -> None:
    ended = edgevit("kernel", *arguments)
    assert ended.code == 2
    assert "'edgevit kernel' is gone" in ended.one_message
    assert "edgevit compile BUNDLE --target native" in ended.one_message
    assert not GONE_COMMANDS.keys() & typer.main.get_command(app).commands.keys()  # type: ignore[attr-defined]


def test_only_the_options_of_that_command_are_renamed() -> None:
    kept = ["run", "--mix", "photo.jpg"]
    assert with_current_names(kept) == kept
    after_the_end = ["verify", "--", "--tensors"]
    assert with_current_names(after_the_end) == after_the_end


@pytest.mark.slow
def test_a_former_name_does_the_same(tmp_path: Path, edgevit: Command) -> None:
    target = tmp_path / "small.edgevit"
    ended = edgevit("export", "--half-storage", "--parity-count", 1, "--output", target)
    assert ended.code == 0, ended.err
    assert "warning: --half-storage is called --fp16-storage now" in ended.err
    assert (target / "model.onnx").stat().st_size < 11 * 2**20


def test_images_of_eval_without_their_option(class_folder: Path, edgevit: Command) -> None:
    """``edgevit eval DATA``: warned of once, and then the same as with ``--data``."""
    former, current = edgevit("eval", class_folder), edgevit("eval", "--data", class_folder)
    assert former.code == current.code
    warning, *rest = former.err.splitlines()
    assert f"--data {class_folder} now" in warning
    assert rest == current.err.splitlines()

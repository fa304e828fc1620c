"""Former names of options work, with one warning each."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from edgevit.cli import app
from edgevit.cli.renamed import RENAMED, with_current_names
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


def test_only_the_options_of_that_command_are_renamed() -> None:
    kept = ["run", "--mix", "photo.jpg"]
    assert with_current_names(kept) == kept
    after_the_end = ["verify", "--", "--tensors"]
    assert with_current_names(after_the_end) == after_the_end


def test_a_former_name_does_the_same(tmp_path: Path, edgevit: Command) -> None:
    target = tmp_path / "small.edgevit"
    ended = edgevit("export", "--half-storage", "--parity-count", 1, "--output", target)
    assert ended.code == 0, ended.err
    assert "warning: --half-storage is called --fp16-storage now" in ended.err
    assert (target / "model.onnx").stat().st_size < 11 * 2**20

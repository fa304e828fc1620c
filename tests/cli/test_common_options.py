"""What every command has: examples that parse, --config, --quiet, --verbose, one name a thing."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from edgevit.cli import app
from edgevit.cli.examples import EXAMPLES
from edgevit.cli.renamed import with_current_names
from support import Command

ROOT: Any = typer.main.get_command(app)


def _leaves(group: Any, path: str = "") -> dict[str, Any]:
    found = {}
    for name, command in group.commands.items():
        whole = f"{path} {name}".strip()
        found |= _leaves(command, whole) if hasattr(command, "commands") else {whole: command}
    return found


LEAVES = _leaves(ROOT)


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_every_command_has_three_examples() -> None:
    assert EXAMPLES.keys() == ROOT.commands.keys()


@pytest.mark.parametrize("example", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_parses(
    example: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.toml").write_text('[train]\ndata = "images"\nepochs = 40\n')
    words = with_current_names(shlex.split(example))
    command, name = ROOT, "edgevit"
    while hasattr(command, "commands") and words:
        name, *words = words
        command = command.commands[name]
    command.make_context(name, words, parent=ROOT.context_class(ROOT, info_name="edgevit"))
    assert not capsys.readouterr().err  # no former name


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_help_ends_with_the_examples(command: str, edgevit: Command) -> None:
    lines = edgevit(command, "--help").out.partition("Examples:")[2].splitlines()
    expected = [f"edgevit {example}" for example in EXAMPLES[command]]
    assert [line.strip() for line in lines if line.strip()] == expected


@pytest.mark.parametrize("path", ["", *EXAMPLES, *sorted(LEAVES.keys() - EXAMPLES.keys())])
def test_help_cuts_no_name_at_80_columns(
    path: str, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    text = edgevit(*path.split(), "--help").out
    assert "…" not in text
    for parameter in LEAVES[path].params if path in LEAVES else ():
        names = [*parameter.opts, *parameter.secondary_opts, parameter.envvar or ""]
        shown = names if parameter.param_type_name == "option" else [parameter.metavar]
        assert not [name for name in shown if name not in text]
    assert max(map(len, text.partition("Examples:")[0].splitlines())) <= 80


def test_the_help_lists_the_groups_in_order(edgevit: Command) -> None:
    text = edgevit("--help").out
    places = [text.index(f"─ {group} ─") for group in ("Model", "Deploy", "Measure", "Device")]
    assert places == sorted(places)
    assert places[-1] < text.index("─ Help ─")


@pytest.mark.parametrize("path", LEAVES)
def test_options_that_all_commands_have(path: str) -> None:
    assert {"--json", "--quiet", "--verbose", "--config"} <= _options(LEAVES[path])


def test_one_default_for_threads() -> None:
    defaults = {p.default for c in LEAVES.values() for p in c.params if "--threads" in p.opts}
    assert defaults == {1}


def test_every_output_has_its_short_form() -> None:
    outputs = [p.opts for c in LEAVES.values() for p in c.params if "--output" in p.opts]
    assert len(outputs) >= 8
    assert all("-o" in names for names in outputs)


def test_options_from_a_file(tmp_path: Path, edgevit: Command) -> None:
    file = tmp_path / "options.toml"
    file.write_text("json = true\n[run]\ntop = 1\n[bench]\nsamples = 3\n")
    assert json.loads(edgevit("models", "--config", file).out)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[models]\njsno = true\n")
    ended = edgevit("models", "--config", wrong)
    assert ended.code == 2
    assert "'edgevit models' has no option jsno. Did you mean 'json'?" in ended.one_message


def test_the_command_line_wins_over_the_file(tmp_path: Path, edgevit: Command) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("train:\n  data: nowhere\n  epochs: 0\n  learning_rate: 0.1\n")
    ended = edgevit("train", "--config", file)
    assert ended.code == 2
    assert "'--epochs'" in ended.one_message
    assert "nowhere is not a folder" in edgevit("train", "--config", file, "--epochs", 1).err


@pytest.mark.parametrize(
    ("command", "name", "text", "message"),
    [
        ("models", "no.toml", "a = ", "is not TOML"),
        ("models", "no.yaml", "a: [", "is not YAML"),
        ("models", "list.yaml", "[1]", "holds no options"),
        ("models", "table.toml", "json = {a = 1}", "json is a dict"),
        ("models", "text.toml", 'models = "x"', "expected a table"),
        ("eval", "a.toml", f"a = {'[' * 5000}", "nested too deep"),
        ("eval", "a.toml", f"a{'.a' * 30_000} = 1", "a key has more than 20 parts (at line 1)"),
        ("eval", "a.toml", f"a = {'9' * 5000}", "a number is too long"),
        ("eval", "a.toml", 'data = "a\\u0000b"', "data holds a NUL character"),
        ("eval", "a.yaml", "- " * 5000, "maximum recursion depth"),
        ("eval", "a.yaml", f"a: {'9' * 5000}", "4300 digits"),
        ("eval", "a.yaml", "a: 2001-99-99", "month must be in 1..12"),
    ],
)
def test_a_file_that_cannot_be_used(
    command: str, name: str, text: str, message: str, tmp_path: Path, edgevit: Command
) -> None:
    (tmp_path / name).write_text(text)
    ended = edgevit(command, "--config", tmp_path / name)
    assert ended.code == 2
    assert message in ended.one_message


def test_quiet_and_verbose(edgevit: Command, lla_bundle: Path) -> None:
    usual = edgevit("verify", lla_bundle).err
    quiet = edgevit("verify", lla_bundle, "--quiet")
    assert (quiet.code, quiet.err) == (0, "")
    assert len(edgevit("verify", lla_bundle, "-v").err) >= len(usual)
    both = edgevit("models", "-q", "-v")
    assert both.code == 2
    assert "give one of them" in both.one_message

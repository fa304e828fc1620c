"""Every table fits 100 columns off a terminal and reads well at 80; what is copied stays whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path

import onnx
import pytest

from edgevit.common import console
from edgevit.common.tables import Section, Table, as_text, wrapped
from edgevit.zoo import PREBUILT_BUNDLE
from support import Command
from support.made_results import made
from support.onnx_classifiers import small_classifier
from support.table_widths import assert_fits
from support.zoo import float_copy

Words = tuple[object, ...]
_SHORT = ("--samples", 10, "--frames", 2, "--fps", 100, "--warmup", 1, "--max-seconds", 5)


def _imported(folder: Path) -> Words:
    onnx.save(small_classifier(), folder / "mine.onnx")
    names = [f"a class with a long name, number {i}" for i in range(5)]
    (folder / "classes.txt").write_text("\n".join(names))
    return ("import", folder / "mine.onnx", "--classes", folder / "classes.txt")


def _compared(folder: Path) -> Words:
    files = [folder / "a machine's result.json", folder / "another machine's result.json"]
    for file, p50_ms in zip(files, (1.5, 2.5), strict=True):
        file.write_text(json.dumps(made(p50_ms, device="a Jetson Orin Nano Developer Kit")))
    return ("bench", "--compare", *files)


def _compiled(folder: Path) -> Words:
    target = float_copy(folder / "mine.edgevit")
    return ("compile", target, "--target", "native")


_MADE: dict[str, Callable[[Path], Words]] = {
    "import": _imported,
    "compare": _compared,
    "compile": _compiled,
    "models": lambda _: ("models",),
    "doctor": lambda _: ("doctor",),
    "devices": lambda _: ("devices",),
    "profile": lambda _: ("profile", "--runs", 2),
    "bench": lambda _: ("bench", *_SHORT),
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Section]:
    """What a command printed, before it was drawn."""
    found: list[Section] = []
    usual = console.print_sections

    def draw(sections: Iterable[Section]) -> None:
        found.extend(sections)
        usual(found)

    monkeypatch.setattr(console, "print_sections", draw)
    return found


@pytest.mark.parametrize("command", _MADE)
def test_a_table_fits(
    command: str,
    drawn: list[Section],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    edgevit: Command,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    _check(edgevit, drawn, _MADE[command](tmp_path))


def test_tables_of_a_bundle_with_many_variants_fit(
    all_forms: Path, drawn: list[Section], edgevit: Command
) -> None:
    for words in (("inspect", all_forms, "--layers"), ("verify", all_forms)):
        drawn.clear()
        _check(edgevit, drawn, words)


def test_tables_of_pictures_fit(
    answered: Path, photo_folder: Path, drawn: list[Section], edgevit: Command, tmp_path: Path
) -> None:
    predictions = tmp_path / "answers.parquet"
    for words in (
        ("eval", PREBUILT_BUNDLE, "--data", answered / "val"),
        ("run", PREBUILT_BUNDLE, photo_folder),
        ("predict", PREBUILT_BUNDLE, photo_folder, "--output", predictions),
    ):
        drawn.clear()
        _check(edgevit, drawn, words)


@pytest.mark.slow
def test_tables_of_what_was_exported_and_quantized_fit(
    answered: Path, drawn: list[Section], edgevit: Command, tmp_path: Path
) -> None:
    bundle = tmp_path / "a bundle.edgevit"
    for words in (
        ("export", "--model", "lla_tiny", "--count", 2, "--output", bundle),
        ("quantize", bundle, "--data", answered / "train", "--count", 16, "--max-drop", 100),
        ("verify", bundle, "--bisect", "--variant", "onnx-fp16"),
    ):
        drawn.clear()
        _check(edgevit, drawn, words)


def _check(edgevit: Command, drawn: list[Section], words: Words) -> None:
    ended = edgevit(*words)
    assert ended.code == 0, ended.err
    assert any(isinstance(section, Table) for section in drawn), ended.out
    sentences = [each for section in drawn for each in _sentences(section)]
    assert not set(sentences) - set(ended.out.split("\n"))  # each in one line, for grep
    assert_fits(drawn)


def _sentences(section: Section) -> list[str]:
    text = section.title if isinstance(section, Table) else section
    return text.split("\n") if text else []


def test_a_row_that_does_not_fit_becomes_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [f"a_column_{i}" for i in range(12)]
    table = Table("wide", columns, [[f"cell_{i}" for i in range(12)]])
    monkeypatch.setenv("COLUMNS", "60")
    lines = as_text([table]).splitlines()
    assert lines[0].strip() == "wide"
    assert lines[1].strip() == "cell_0"
    assert lines[2].split() == ["a_column_1", "cell_1"]
    monkeypatch.setenv("COLUMNS", "200")
    assert len(as_text([table]).splitlines()) == 4


def test_a_long_value_does_not_break_the_names_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    table = Table("", ("", ""), [("weights", f"/{'x' * 90}"), ("best top-1", "3 %")])
    assert "best top-1  3 %" in as_text([table])


_NEXT = "edgevit compile '/home/me/my models/mine.edgevit' --target tensorrt --precision int8"
_QUOTED = "'edgevit verify mine.edgevit --images pictures/of/mine --count 100'"
_PATH = "/home/me/my models/a folder of a long name/another one/mine.edgevit"


@pytest.mark.parametrize("names", [("", ""), ("what", "where"), ("what", "where", "how")])
@pytest.mark.parametrize("value", [_NEXT, _PATH, f"see {_QUOTED} for more", "x" * 90])
def test_what_is_copied_from_a_table_stays_whole(
    names: Words, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = [("next", value, "and so on")[: len(names)], ("file", "short", "so")[: len(names)]]
    text = as_text([Table("", [str(name) for name in names], rows)])
    assert value.removeprefix("see ").removesuffix(" for more") in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_is_broken_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken command could not be pasted, and grep would not find a broken sentence."""
    monkeypatch.setenv("COLUMNS", "80")
    text = f"not opened here, because {'of this ' * 8}and that. Build one: {_NEXT}"
    assert as_text([text]) == text
    terminal = _Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    console.print_sections([text])
    *sentence, command = terminal.getvalue().splitlines()
    assert command == f"  {_NEXT}"
    assert max(map(len, sentence)) <= 80


def test_a_command_stays_whole() -> None:
    command = "edgevit compile mine.edgevit --target tensorrt --precision int8"
    lines = wrapped(f"not opened here, because {'of this ' * 8}. Build one: {command}", 80)
    assert lines[-1] == f"  {command}"
    assert max(map(len, lines)) <= 80
    assert wrapped("short: edgevit doctor", 80) == ["short: edgevit doctor"]

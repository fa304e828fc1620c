"""Every command that the README and the guides show works as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer

from edgevit import cli
from edgevit.images import image_io
from support import ROOT, Command

README = (ROOT / "README.md").read_text()
# Pages whose blocks of commands are run, one page after the other, in one folder.
FIRST_PAGES = ("README.md", "docs/index.md")
RUN_PAGES = (*FIRST_PAGES, "docs/commands.md")
TUTORIALS = ("docs/own-pictures.md", "docs/c.md")


def _lines(page: str) -> list[str]:
    """The lines of a page's blocks of commands."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _commands(page: str) -> list[str]:
    return [line.partition("  #")[0] for line in _lines(page) if line.startswith("edgevit ")]


def _indented(page: Path) -> list[str]:
    """The lines of a page's indented blocks."""
    lines = page.read_text().replace("\\\n", " ").splitlines()
    return [line[4:] for line in lines if line.startswith("    ")]


LINES = _lines("README.md")
GUIDES_COMMANDS = [
    line.partition("  #")[0].strip()
    for guide in sorted((ROOT / "docs").glob("*.md"))
    for line in [*_lines(f"docs/{guide.name}"), *_indented(guide)]
    if line.startswith("edgevit ") and "|" not in line
]
SCRIPTS = [
    line.partition("  #")[0]
    for page in (*RUN_PAGES, "docs/results.md")
    for line in _lines(page)
    if line.startswith("python benchmarks/")
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, photo_folder: Path, class_folder: Path) -> Path:
    """A working folder with the pictures that the README speaks of."""
    place = tmp_path_factory.mktemp("readme")
    shutil.copy(photo_folder / "photo0.png", place / "photo.png")
    shutil.copytree(photo_folder, place / "photos")
    shutil.copytree(class_folder, place / "images" / "train")
    shutil.copytree(class_folder, place / "images" / "val")
    for picture in (place / "images" / "val").rglob("*.png"):  # other pictures than in train
        image_io.write(picture, image_io.read(picture)[::-1])
    return place


def test_the_commands_work_one_after_the_other(
    place: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that both pages show is run once."""
    monkeypatch.chdir(place)
    assert _run(FIRST_PAGES, edgevit) >= 5


@pytest.mark.slow  # trains, exports and quantizes; each command has tests of its own
def test_the_commands_of_all_pages_work_one_after_the_other(
    place: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert _run(RUN_PAGES, edgevit) >= 20


@pytest.mark.slow  # the same commands with other options, which a test below parses
@pytest.mark.parametrize("page", TUTORIALS)
def test_the_tutorials_commands_work(
    page: str, place: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / Path(page).stem
    folder.mkdir()
    for name in ("photo.png", "images"):
        (folder / name).symlink_to(place / name)
    monkeypatch.chdir(folder)
    assert _run([page], edgevit) >= 3


def _run(pages: Sequence[str], edgevit: Command) -> int:
    """Runs the commands of pages, one that several show once; gives how many there were."""
    commands = list(dict.fromkeys(command for page in pages for command in _commands(page)))
    for command in commands:
        ended = edgevit(*shlex.split(command)[1:])
        assert ended.code == 0, f"{command}\n{ended.err}"
    return len(commands)


def test_every_page_shows_commands() -> None:
    assert [page for page in (*RUN_PAGES, *TUTORIALS) if not _commands(page)] == []


def test_every_command_is_documented() -> None:
    """On one of the pages: as a line, which a test runs or parses, or in its text."""
    text = "".join(guide.read_text() for guide in (ROOT / "docs").glob("*.md"))
    commands = typer.main.get_command(cli.app).commands
    assert len(commands) >= 15
    for name in commands:
        assert re.search(rf"edgevit {name}\b", text), name


@pytest.mark.parametrize("line", GUIDES_COMMANDS)
def test_the_guides_commands_exist_with_their_options(line: str) -> None:
    """Parsed, not run: they name cameras, boards and folders of a reader's."""
    command, words = typer.main.get_command(cli.app), shlex.split(line)[1:]
    assert words[0] in command.commands, line
    while words and words[0] in getattr(command, "commands", ()):
        command = command.commands[words.pop(0)]
    command.make_context(line, words)


def test_there_are_guides() -> None:
    assert len(GUIDES_COMMANDS) > 10


def test_the_make_targets_exist() -> None:
    targets = {line.split()[1] for line in LINES if line.startswith("make ")}
    assert {"demo", "test"} <= targets
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_the_benchmarks_are_there() -> None:
    """They run in tests/project/test_benchmarks.py."""
    assert SCRIPTS
    for script in SCRIPTS:
        assert (ROOT / script.split()[1]).is_file(), script


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    generated = {"cli.md"}  # by docs/hooks/site.py
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text()):
        is_there = target in generated or (page.parent / target).exists()
        assert target.startswith("https://") or is_there, target

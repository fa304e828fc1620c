"""Every command that the README shows works as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from edgevit import cli
from edgevit.images import image_io
from support import ROOT, Command

README = (ROOT / "README.md").read_text()
LINES = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]
COMMANDS = [line.partition("  #")[0] for line in LINES if line.startswith("edgevit ")]
GUIDES_COMMANDS = [
    line.partition("  #")[0].strip()
    for guide in sorted((ROOT / "docs").glob("*.md"))
    for line in guide.read_text().splitlines()
    if line.startswith(("    edgevit ", "edgevit ")) and "|" not in line
]
SCRIPTS = [line.partition("  #")[0] for line in LINES if line.startswith("python benchmarks/")]


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
    monkeypatch.chdir(place)
    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        ended = edgevit(*shlex.split(command)[1:])
        assert ended.code == 0, f"{command}\n{ended.err}"


def test_every_command_is_documented() -> None:
    """In the README or a guide: as a line, which a test runs or parses, or in its text."""
    text = README + "".join(guide.read_text() for guide in (ROOT / "docs").glob("*.md"))
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


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target

"""The container files: what hadolint says, their form, what they install. None is built."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgevit_runtimes.remote import bootstrap
from support import ROOT
from support.needs import SEARCHED, need_tool

FILES = sorted((ROOT / "packaging" / "containers").glob("*.Dockerfile"))
INSTRUCTIONS = {"FROM", "SHELL", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}


def instructions(file: Path) -> list[tuple[str, str]]:
    """Name and rest of every instruction, continued lines joined, comments left out."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2]) for line in joined.splitlines() if line]


def test_hadolint_finds_nothing() -> None:
    """An exception says its reason in the line above it."""
    need_tool("hadolint")
    command = [str(shutil.which("hadolint", path=SEARCHED)), "--no-color", *map(str, FILES)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout == ""


def test_there_is_one_for_each_kind() -> None:
    assert [file.stem for file in FILES] == ["jetpack6", "jetpack7", "x86"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_form_is_right(file: Path) -> None:
    found = instructions(file)
    names = [name for name, _ in found]
    assert set(names) <= INSTRUCTIONS
    assert names[0] == "FROM"
    assert re.fullmatch(r"\S+:[\w.-]*\d[\w.-]*", found[0][1]), "a version, not whatever is newest"
    assert names.count("ENTRYPOINT") == names.count("CMD") == 1
    users = [rest for name, rest in found if name == "USER"]
    assert users == ["edgevit"], "nothing runs as root"
    assert "not built here" in file.read_text().lower()
    assert f"containers/{file.name}" in file.read_text()
    for name, rest in found:
        if name == "RUN" and "apt-get install" in rest:
            assert "--no-install-recommends" in rest
            assert "rm -rf /var/lib/apt/lists/*" in rest


@pytest.mark.parametrize(("stem", "cuda"), [("jetpack6", "12.6"), ("jetpack7", "13.0")])
def test_a_jetson_gets_what_setup_brings(stem: str, cuda: str) -> None:
    text = (ROOT / "packaging" / "containers" / f"{stem}.Dockerfile").read_text()
    others = [need for need in bootstrap.NEEDED if not need.startswith("numpy")]
    for need in (*others, *bootstrap.extras(cuda)):
        assert f'"{need}"' in text
    assert "opencv-python" not in text, "it would cover the system's, which has GStreamer"

"""The documentation site: it builds without a warning, and quotes messages that exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

PACKAGES = (ROOT / "edgevit", ROOT / "export", ROOT / "runtimes")
TROUBLESHOOTING = (ROOT / "docs" / "troubleshooting.md").read_text()
MESSAGES = re.findall(r"^\| `([^`]+)` \|", TROUBLESHOOTING, re.MULTILINE)
OMITTED = "…"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Every text of the sources, with a mark where something is put in."""
    found = []
    for root in PACKAGES:
        for file in root.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = (getattr(part, "value", "") for part in node.values)
                    found.append("".join(p if isinstance(p, str) else OMITTED for p in parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_one_of_edgevits(message: str, texts: list[str]) -> None:
    """Its fixed words stand in one text of the sources, in their order."""
    fixed = [part.strip() for part in message.split(OMITTED) if len(part.strip()) > 1]
    assert max(map(len, fixed)) >= 8, "a message is found by its words"
    pattern = re.compile(".*".join(map(re.escape, fixed)), re.DOTALL)
    assert any(pattern.search(text) for text in texts)


def test_many_messages_are_explained() -> None:
    assert len(MESSAGES) > 30


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as ``make docs`` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder))
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return folder


def test_the_references_are_generated(site: Path) -> None:
    from edgevit import __all__ as public
    from edgevit import cli

    commands = (site / "cli" / "index.html").read_text()
    names = [each.name for each in cli.app.registered_commands if not each.hidden]
    assert len(names) > 10
    assert [name for name in names if name and f"edgevit {name}" not in commands] == []
    api = (site / "api" / "index.html").read_text()
    assert [name for name in public if name.strip("_") != "version" and name not in api] == []


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    page = (site / "index.html").read_text()
    loaded = re.findall(r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="([^"]+)"', page)
    assert loaded
    assert [address for address in loaded if "//" in address] == []


def test_pictures_of_the_site_are_small() -> None:
    assert (ROOT / "docs" / "live-page.jpg").stat().st_size <= 150 * 1024

"""Pages that the site has beside those in ``docs``: the command reference and files from above.

MkDocs calls ``on_files`` and ``on_page_markdown``; see https://www.mkdocs.org/user-guide/plugins/.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
_CARDS = "edgevit/zoo/"
# Where a link from docs to a file above it leads on the site.
_MOVED = {
    "../CONTRIBUTING.md": "contributing.md",
    "../CHANGELOG.md": "changelog.md",
    "../README.md": "index.md",
    "../examples/c/classify.c": "sources/classify.c",
    "../examples/onnxruntime_c/classify.c": "sources/onnxruntime_classify.c",
    "../runtimes/native/include/edgevit.h": "sources/edgevit.h",
}
_LINK = re.compile(r"\]\(([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    files.append(File.generated(config, "cli.md", content=command_reference()))
    for source, name in _MOVED.items():
        if name != "index.md":
            content = _from_above((ROOT / "docs" / source).read_text(encoding="utf-8"))
            files.append(File.generated(config, name, content=content))
    for card in sorted((ROOT / _CARDS).glob("*.md")):
        content = card.read_text(encoding="utf-8").replace("](../../docs/", "](../")
        files.append(File.generated(config, f"cards/{card.name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links to files above ``docs`` to the pages made of them."""
    del page, config, files
    return _LINK.sub(lambda link: f"]({_on_site(link[1])}", markdown)


def command_reference() -> str:
    """Every command with its options, from the command line's own definitions, by Typer."""
    typer = (sys.executable, "-m", "typer", "--app", "app", "edgevit.cli")
    command = (*typer, "utils", "docs", "--name", "edgevit")
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return printed.stdout.replace("# `edgevit`", "# Command reference", 1)


def _on_site(target: str) -> str:
    if target.startswith(f"../{_CARDS}"):
        return f"cards/{Path(target).name}"
    return _MOVED.get(target, target)


def _from_above(markdown: str) -> str:
    """A page of the repository's root, as it reads from ``docs``."""
    return markdown.replace("](docs/", "](").replace("](CONTRIBUTING.md", "](contributing.md")

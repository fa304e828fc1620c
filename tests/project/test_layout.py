"""The layout that CONTRIBUTING.md describes: small folders, short functions, names that are one."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT

PACKAGES = {
    "edgevit": ROOT / "edgevit",
    "edgevit_export": ROOT / "export" / "edgevit_export",
    "edgevit_runtimes": ROOT / "runtimes" / "edgevit_runtimes",
}
CODE = (*PACKAGES.values(), ROOT / "tests", ROOT / "benchmarks")
MOST_MODULES = 12
MOST_LINES = 60
SKIPS = ("pytest.skip", "pytest.importorskip", "pytest.mark.skip", "pytest.mark.skipif")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules_in(folder: Path) -> list[Path]:
    """Python files right in a folder, without those that are not a module of their own."""
    return [file for file in sorted(folder.glob("*.py")) if not file.stem.startswith("__")]


def functions_in(file: Path) -> Iterator[Function]:
    tree = ast.parse(file.read_text())
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def statement_lines(function: Function) -> int:
    """Lines of a function's body: neither its parameters, options among them, nor its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    last = function.end_lineno
    assert last is not None
    return last - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("root", CODE, ids=lambda root: root.name)
def test_no_folder_holds_too_many_modules(root: Path) -> None:
    folders = [root, *(folder for folder in root.rglob("*") if folder.is_dir())]
    counted = {folder.relative_to(ROOT): len(modules_in(folder)) for folder in folders}
    assert sum(counted.values()) > 0
    assert {folder: n for folder, n in counted.items() if n > MOST_MODULES} == {}


@pytest.mark.parametrize("root", CODE, ids=lambda root: root.name)
def test_no_function_is_long(root: Path) -> None:
    long = {
        f"{file.relative_to(ROOT)}:{function.lineno} {function.name}": statement_lines(function)
        for file in root.rglob("*.py")
        for function in functions_in(file)
        if statement_lines(function) > MOST_LINES
    }
    assert long == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_modules_name_says_which_one_it_is(package: str) -> None:
    folders = [PACKAGES[package], *(f for f in PACKAGES[package].rglob("*") if f.is_dir())]
    names = Counter(file.stem for folder in folders for file in modules_in(folder))
    assert names
    assert [name for name, count in names.items() if count > 1] == []


def test_tests_mirror_the_source() -> None:
    """A folder of tests is named for a folder of code; those in project are about none of them."""
    code = {f.name for root in PACKAGES.values() for f in root.rglob("*") if f.is_dir()}
    tests = ROOT / "tests"
    folders = {file.parent.relative_to(tests) for file in tests.rglob("test_*.py")}
    assert {folder.parts[0] for folder in folders if folder.name not in code} == {"project"}


def test_tests_are_skipped_from_one_place_only() -> None:
    """tests/support/needs.py tells a missing tool, an error in CI, from what nobody can install."""
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for file in sorted((ROOT / "tests").rglob("*.py"))
        if file != ROOT / "tests" / "support" / "needs.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SKIPS
    ]
    assert found == []


def test_the_ruler_measures(tmp_path: Path) -> None:
    """Long functions are seen, and an option list is none."""
    file = tmp_path / "made.py"
    body = "\n".join("    pass" for _ in range(MOST_LINES))
    options = "\n".join(f"    o{i}: int = typer.Option(1)," for i in range(MOST_LINES))
    file.write_text(f"def long():\n{body}\n    pass\n\ndef command(\n{options}\n):\n    pass\n")
    lines = {function.name: statement_lines(function) for function in functions_in(file)}
    assert lines == {"long": MOST_LINES + 1, "command": 1}


def test_files_that_are_named_exist() -> None:
    """Documents, comments and docstrings name files by their path in the repository."""
    named = re.compile(
        r"(?<![\w/.-])(?:edgevit|export|runtimes|tests|benchmarks|docs)/[\w./-]+\.py"
    )
    texts = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *(f for r in CODE for f in r.rglob("*.py")),
    ]
    found = {(path, file) for file in texts for path in named.findall(file.read_text())}
    assert len(found) > 10
    assert {f"{file}: {path}" for path, file in found if not (ROOT / path).is_file()} == set()

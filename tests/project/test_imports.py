"""Importing is free, and a device needs neither torch nor onnx."""

from __future__ import annotations

import pytest

from edgevit.common.installation.install_command import install_command
from support import ROOT, python

pytestmark = pytest.mark.early

_OPTIONAL = ("torch", "onnx", "onnxsim", "onnxscript", "safetensors", "skimage", "av", "aiohttp")
_NEEDS_TORCH = ("edgevit.models", "edgevit.training")
_NEEDS_AIOHTTP = ("edgevit_runtimes.live.page",)


def _modules(folder: str, package: str) -> list[str]:
    root = ROOT / folder
    names = []
    for file in sorted((root / package).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


DEVICE_MODULES = [
    name
    for name in _modules(".", "edgevit") + _modules("runtimes", "edgevit_runtimes")
    if not name.startswith(_NEEDS_TORCH + _NEEDS_AIOHTTP)
]


def test_importing_edgevit_loads_no_runtime() -> None:
    assert _loaded_by("import edgevit") == "[]"


def test_help_imports_nothing_heavy() -> None:
    assert _loaded_by("import edgevit.cli") == "[]"


def _loaded_by(statement: str) -> str:
    heavy = ("torch", "onnx", "onnxruntime", "cv2", "numpy")
    code = f"{statement}; import sys; print([m for m in {heavy} if m in sys.modules])"
    return python("-c", code).out.strip()


def test_device_modules_import_without_the_workstation_libraries() -> None:
    """All of them in one process in which those libraries cannot be found."""
    code = f"""
import importlib, sys
for name in {_OPTIONAL}:
    sys.modules[name] = None
for name in {DEVICE_MODULES}:
    importlib.import_module(name)
print("imported", {len(DEVICE_MODULES)})
"""
    ended = python("-c", code)
    assert ended.out.strip() == f"imported {len(DEVICE_MODULES)}", ended.err


def test_there_are_device_modules() -> None:
    assert "edgevit_runtimes.bench.measure" in DEVICE_MODULES
    assert len(DEVICE_MODULES) > 20


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        (["export"], "torch", "export"),
        (["export"], "onnxsim", "export"),
        (["train", "--data", "nowhere"], "torch", "train"),
    ],
)
def test_a_missing_extra_names_the_line_that_installs_it(
    arguments: list[str], missing: str, extra: str
) -> None:
    code = f"""
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == {missing!r} else find(name, *a)
import edgevit.common.libraries as libraries
libraries.find_spec = importlib.util.find_spec
from edgevit.cli import main
sys.argv = ["edgevit", *{arguments!r}]
main()
"""
    ended = python("-c", code)
    assert ended.code == 2
    assert install_command(extra) in ended.one_message
    assert f"'{missing}'" in ended.one_message

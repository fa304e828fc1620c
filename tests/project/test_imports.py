"""Importing is free, and a device needs neither torch nor onnx."""

from __future__ import annotations

import json
from pathlib import Path

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


# What a classifier's answer in the native engine does without.
_UNUSED_BY_AN_ANSWER = (
    # Libraries, each several milliseconds; pydantic is what typer imports from 0.29 on.
    *("onnxruntime", "rich", "pydantic", "logging", "concurrent.futures", "tomllib", "zipfile"),
    *("importlib.metadata", "asyncio", "multiprocessing", "statistics", "sysconfig"),
    # The specifications of all models, of which the prebuilt bundle is one.
    *("edgevit.zoo.spec", "edgevit.zoo.registry"),
    *("edgevit.bundle.edit", "edgevit.bundle.reference", "edgevit.results.bundle_summary"),
    *("edgevit.results.stream_prediction", "edgevit.inference.dense", "edgevit.cli.config_file"),
)
# Each generates code when it is imported, which takes longer than many a module. A Result is an
# ABC, and so no struct; who has a Host or compares bundles needs what structs have not; and
# pictures are read on rented GPUs too, where msgspec is not installed (train_zoo_gpu.py).
_DATACLASSES_OF_AN_ANSWER = {
    *("Bundle", "FilePredictions", "Host", "PlannedWork", "Prediction"),
    *("Preprocess", "TensorSpec", "Listing", "PictureSet", "Picture", "Rectangle", "Header"),
    *("_Limit", "_Box", "_Items", "_Layout"),
}


@pytest.mark.needs("native-engine")
def test_a_run_loads_only_what_its_answer_needs(photo_folder: Path) -> None:
    code = f"""
import dataclasses, json, sys
from edgevit.cli import main
sys.argv = ["edgevit", "run", {str(photo_folder / "photo0.png")!r}, "--json"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
ours = [module for name, module in sys.modules.items() if name.startswith("edgevit")]
kinds = {{value for module in ours for value in vars(module).values() if isinstance(value, type)}}
print(json.dumps({{
    "loaded": [name for name in {_UNUSED_BY_AN_ANSWER} if name in sys.modules],
    "dataclasses": sorted(kind.__name__ for kind in kinds if dataclasses.is_dataclass(kind)),
}}))
"""
    ended = python("-c", code)
    found = json.loads(ended.out.splitlines()[-1])
    assert found["loaded"] == []
    assert set(found["dataclasses"]) <= _DATACLASSES_OF_AN_ANSWER


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

"""What is printed to be pasted installs what it says: in a checkout, beside a wheel, anywhere."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from edgevit.common.errors import MissingExtraError
from edgevit.common.installation import install_command as module
from edgevit.common.installation.install_command import (
    install_again_command,
    install_command,
    pip,
    pip_install,
    uninstall,
    upgrade_advice,
)
from edgevit_runtimes.devices.advice import advise, opencv_package
from edgevit_runtimes.devices.machine import describe
from edgevit_runtimes.doctor import purposes as doctor
from edgevit_runtimes.live.outputs import window
from support import ROOT
from support.machines.recordings import tree_of
from support.needs import missing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
SOURCES = [ROOT / "edgevit", ROOT / "export", ROOT / "runtimes"]
# What the wheel of this project says that it needs, as its metadata lists it.
LISTED = [
    *(line.replace("'", '"') for line in PROJECT["dependencies"]),
    *(f'{line}; extra == "{extra}"' for extra, lines in EXTRAS.items() for line in lines),
]


@pytest.fixture
def from_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a wheel was installed: no sources, and the metadata of the project."""
    monkeypatch.setattr(module, "checkout", lambda: None)
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: LISTED)


def asked_for() -> Iterator[tuple[Path, str]]:
    """Every extra that the sources name to a function that prints a command."""
    places = {"install_command": 0, "require_modules": 1, "MissingExtraError": 2}
    for file in (file for folder in SOURCES for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            place = places.get(getattr(node.func, "id", ""))
            if place is None or len(node.args) <= place:
                continue
            extra = node.args[place]
            if isinstance(extra, ast.Constant):
                yield file, str(extra.value)


def test_every_extra_that_is_named_exists() -> None:
    named = {extra for _, extra in asked_for()}
    assert named >= {"export", "train", "openvino", "cuda", "tensorrt", "teacher", "serve", "timm"}
    assert named <= {*EXTRAS, ""}
    assert {extra for *_, extra in doctor._NEEDS} <= {*EXTRAS, ""}


def test_no_source_names_a_package_index_that_does_not_have_us() -> None:
    """``pip install edgevit`` finds nothing, wherever it is pasted."""
    wrong = re.compile(r"""pip install (?:--upgrade )?["']?edgevit""")
    found = {
        str(file.relative_to(ROOT)): line.strip()
        for folder in SOURCES
        for file in folder.rglob("*.py")
        if file != Path(module.__file__)
        for line in file.read_text().splitlines()
        if wrong.search(line)
    }
    assert found == {}


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_in_a_checkout_the_checkout_is_named(extra: str) -> None:
    command = shlex.split(install_command(extra))
    what, place, *_ = command[command.index("install") + 1 :]
    assert what == "--editable"
    folder, _, named = place.partition("[")
    assert Path(folder) == ROOT
    assert named == (f"{extra}]" if extra else "")


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_beside_a_wheel_the_libraries_are_named(extra: str, from_wheel: None) -> None:
    command = shlex.split(install_command(extra))
    requirements = command[command.index("install") + 1 :]
    assert requirements
    assert not any("edgevit" in each for each in requirements if not each.startswith("-"))
    direct = [line for line in EXTRAS.get(extra, PROJECT["dependencies"]) if "[" not in line]
    assert {line.partition(";")[0].strip() for line in direct} <= {
        each.partition(";")[0].strip() for each in requirements
    }


def test_extras_within_an_extra_are_followed(from_wheel: None) -> None:
    command = install_command("teacher")
    assert '"torch>=' in command
    assert '"matplotlib>=' in command
    assert command.count('"torch>=') == 1


def test_without_metadata_the_folder_of_the_wheel_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "checkout", lambda: None)
    monkeypatch.setattr(importlib.metadata, "requires", unknown)
    monkeypatch.setattr(importlib.metadata, "distribution", unknown)
    assert install_command("export").endswith('install --find-links . "edgevit[export]"')
    assert "in the folder of a newer wheel: " in upgrade_advice()
    assert upgrade_advice().endswith("install --upgrade --find-links . edgevit")
    assert install_again_command().endswith("--no-deps --find-links . edgevit")


def test_pip_is_that_of_the_running_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody activated the environment; or uv made it, without a pip."""
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    assert pip() == f"{sys.executable} -m pip"
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    assert pip() == f"pip --python {sys.executable}"
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert pip() == f"uv pip --python {sys.executable}"
    assert "--yes" not in uninstall("numpy")
    monkeypatch.setattr(module, "_is_managed_by_the_system", lambda: True)
    assert pip_install().endswith("install --break-system-packages")


@pytest.mark.parametrize(
    ("toolkit", "driver", "limited"),
    [
        ('{"cuda": {"version": "12.6.11"}}', None, True),
        ('{"cuda": {"version": "13.0.0"}}', None, False),
        (None, "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu", True),
        (None, "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  R", False),
        (None, None, False),
    ],
)
def test_cuda_bindings_fit_the_cuda_of_the_machine(
    toolkit: str | None,
    driver: str | None,
    limited: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """JetPack 6 has CUDA 12, and pip would take cuda-bindings 13."""
    for name, text in (("_CUDA", toolkit), ("_DRIVER", driver)):
        monkeypatch.setattr(module, name, tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text)
    assert ('"cuda-bindings<13"' in install_command("cuda")) == limited
    assert "cuda-bindings<13" not in install_command("export")


def test_timm_brings_the_torchvision_of_this_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "2.13.0+cpu")
    assert install_command("timm").endswith(f"--extra-index-url {module.TORCH_CPU_INDEX}")
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "2.13.0")
    assert "index-url" not in install_command("timm")


def test_the_opencv_with_windows_is_that_of_the_extra() -> None:
    assert EXTRAS["display"] == [window._WITH_WINDOWS]


@pytest.mark.parametrize(
    ("recorded", "package"),
    [("orin-nano-jetpack-6", "libopencv-python"), ("raspberry-pi-5", "python3-opencv")],
)
def test_the_systems_opencv_has_one_name_on_one_machine(
    recorded: str, package: str, tmp_path: Path
) -> None:
    root = tree_of(recorded, tmp_path)
    assert opencv_package(root) == package
    fixes = [advice.fix for advice in advise(describe(root), root) if advice.fix]
    assert not any("opencv" in fix and package not in fix for fix in fixes)


@pytest.mark.parametrize(
    ("recorded", "installed", "rows"),
    [
        (
            "x86-laptop-without-privilege",
            {"tensorrt": ("tensorrt-rtx", "1.7")},
            {"build TensorRT-RTX engines": True, "run TensorRT-RTX engines": False},
        ),
        (
            "x86-workstation-rtx",
            {"tensorrt": ("tensorrt-rtx", "1.7")},
            {"build TensorRT-RTX engines": True, "run TensorRT-RTX engines": True},
        ),
        (
            "x86-laptop-without-privilege",
            {"tensorrt": ("tensorrt", "10.9")},
            {"build TensorRT engines": False, "run TensorRT engines": False},
        ),
        (
            "orin-nano-jetpack-6",
            {"tensorrt": ("tensorrt", "10.3")},
            {"build TensorRT engines": True, "run TensorRT engines": True},
        ),
        (
            "orin-nano-jetpack-6",
            {},
            {"build TensorRT engines": False, "run TensorRT engines": False},
        ),
    ],
)
def test_no_engine_is_ready_without_a_gpu(
    recorded: str,
    installed: dict[str, tuple[str, str]],
    rows: dict[str, bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TensorRT-RTX is called by its name, and builds for a GPU elsewhere."""
    found = {**installed, "cuda-bindings": ("cuda-bindings", "12.9")}
    monkeypatch.setattr(doctor, "known_distribution", found.get)
    monkeypatch.setattr(doctor, "_version_by_module", lambda _: None)
    states = doctor.purposes(describe(tree_of(recorded, tmp_path)))
    engines = {name: state for name, state in states.items() if "TensorRT" in name}
    assert {name: state["ready"] for name, state in engines.items()} == rows
    for state in engines.values():
        lacks_gpu_alone = state["versions"].get("NVIDIA GPU", "") is None and installed
        assert (state["fix"] is None) == bool(state["ready"] or lacks_gpu_alone)
        assert "jetpack" not in recorded or "rtx" not in json.dumps(state)


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["", *EXTRAS])
@pytest.mark.parametrize("situation", ["checkout", "wheel"])
def test_each_command_is_pasted(situation: str, extra: str, request: pytest.FixtureRequest) -> None:
    """pip resolves it; nothing is installed."""
    if situation == "wheel":
        request.getfixturevalue("from_wheel")
    options = ["--dry-run", "--quiet", "--disable-pip-version-check", "--no-build-isolation"]
    ended = subprocess.run(
        f"{install_command(extra)} {shlex.join(options)}",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Temporary failure in name resolution" in ended.stderr:
        missing("no package index can be reached")
    assert ended.returncode == 0, ended.stderr


def test_the_error_has_the_command() -> None:
    error = MissingExtraError("this", "openvino", "openvino")
    assert str(error).endswith(f"Install it with: {install_command('openvino')}")

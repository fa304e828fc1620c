"""A device: ``pip install edgevit`` without extras in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT
from support.needs import missing, not_here

_NOT_PACKAGED = (".git", ".venv", "out", "runs", "tests", "build", "dist", ".*_cache", "*.egg-info")


_OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
_OTHERS = [version for version in ("3.10", "3.11", "3.12", "3.13") if version != _OWN]


def interpreter(version: str) -> Path | None:
    """A Python of that version which can make environments: ours, on the PATH, or pyenv's."""
    if version == _OWN:
        return Path(sys.executable)
    named = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [Path(named)] if named else []
    for candidate in [*found, *sorted(pyenv.glob(f"{version}.*/bin/python"))]:
        asked = [candidate, "-c", "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:
            return candidate
    return None


@pytest.fixture(
    scope="module",
    params=[pytest.param(version, marks=pytest.mark.slow) for version in (_OWN, *_OTHERS)],
)
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the package and what it declares, and nothing else."""
    python = interpreter(request.param)
    if python is None:
        not_here(f"no Python {request.param} on this machine")
    base = tmp_path_factory.mktemp("device")
    source = shutil.copytree(ROOT, base / "source", ignore=shutil.ignore_patterns(*_NOT_PACKAGED))
    # Our own pip for all of them; neither it nor bytecode of libraries is made for five commands.
    subprocess.run([python, "-m", "venv", "--without-pip", base / "venv"], check=True)
    binaries = base / "venv" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(binaries / "python"), "install"]
    options = ["--quiet", "--no-compile", str(source)]
    installed = subprocess.run([*pip, *options], capture_output=True, text=True, check=False)
    if installed.returncode and "Could not find a version" in installed.stderr:
        missing(f"no package index can be reached: {installed.stderr.splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    return binaries


def call(device: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs in an empty environment: nothing of this process's packages is visible."""
    command = [str(device / str(arguments[0])), *map(str, arguments[1:])]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"}, cwd="/"
    )


def test_nothing_of_the_workstation_is_there(device: Path) -> None:
    names = "('torch', 'onnx', 'onnxsim', 'onnxscript', 'skimage')"
    code = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    assert call(device, "python", "-c", code).stdout.strip() == "[]"


def test_it_runs(device: Path, photo_folder: Path) -> None:
    ended = call(device, "edgevit", "run", photo_folder, "--json")
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)["results"]) == 4


def test_it_benches(device: Path) -> None:
    options = ("--samples", 50, "--frames", 5, "--fps", 100, "--json")
    ended = call(device, "edgevit", "bench", *options)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["latency_ms"]["samples"] == 50
    assert result["peak_memory_mib"]["load"] > 0


def test_it_runs_a_bundle_from_a_workstation(
    device: Path, lla_bundle: Path, photo_folder: Path
) -> None:
    ended = call(device, "edgevit", "run", lla_bundle, photo_folder / "photo0.png")
    assert ended.returncode == 0, ended.stderr


def test_it_says_what_export_needs(device: Path, request: pytest.FixtureRequest) -> None:
    ended = call(device, "edgevit", "export")
    assert ended.returncode == 2
    # Its wheel is on no index: what it lacks is named by itself.
    assert 'install "torch' in ended.stderr
    assert '"onnxsim' in ended.stderr
    doctor = json.loads(call(device, "edgevit", "doctor", "--json").stdout)
    assert doctor["purposes"]["run and bench"]["ready"]
    assert not doctor["purposes"]["export"]["ready"]
    assert doctor["python"].startswith(f"{request.node.callspec.params['device']}.")

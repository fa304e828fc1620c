"""What edgevit prints to be pasted, beside a wheel and on a device, is pasted there.

``tests/common/test_install_commands.py`` resolves the commands of every extra; here they install.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from edgevit.common.version import __version__
from edgevit_runtimes.remote.setup import build_wheel
from support.needs import missing

pytestmark = pytest.mark.slow

_HINTS = "from edgevit.common.installation.install_command import *\n"
_NEWER = "99.1.0"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("a folder of wheels"), os.uname().machine)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """The Python of an environment that has the libraries of this one, and no edgevit.

    They lie outside of it, where pip takes nothing away.
    """
    environment, libraries = tmp_path / "venv", tmp_path / "libraries"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    libraries.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if "edgevit" not in each.name:
            (libraries / each.name).symlink_to(each)
    beside = next(environment.glob("lib/python*/site-packages"))
    (beside / "libraries.pth").write_text(f"{libraries}\n")
    return python


def newer(wheel: Path, folder: Path) -> None:
    """The same wheel, as one of a later version; pip installs what the file's name says."""
    target = folder / wheel.name.replace(__version__, _NEWER)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".dist-info/METADATA"):
                content = content.replace(
                    f"\nVersion: {__version__}".encode(), f"\nVersion: {_NEWER}".encode()
                )
            renamed = name.replace(
                f"edgevit-{__version__}.dist-info", f"edgevit-{_NEWER}.dist-info"
            )
            if not name.endswith("/RECORD"):
                new.writestr(renamed, content)
        new.writestr(f"edgevit-{_NEWER}.dist-info/RECORD", "")


def test_a_device_gets_the_prebuilt_bundle_in_six_megabytes(wheel: Path) -> None:
    if find_spec("ziglang") is None:
        missing("ziglang is not installed: pip install ziglang")
    assert wheel.stat().st_size <= 6e6
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert "edgevit/zoo/lla_tiny.edgevit/model.native-int8.native" in names
    assert not [name for name in names if name.endswith(".safetensors")]


def install(python: Path, *words: object) -> None:
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*map(str, pip), *map(str, words)], check=True, env=_clean())


def said(python: Path, code: str) -> str:
    """What a program beside the wheel prints; nothing of this process's sources is seen."""
    ended = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=False, cwd="/", env=_clean()
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def paste(command: str, folder: Path) -> None:
    """As a person would, who works in ``folder``."""
    ended = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, cwd=folder, env=_clean()
    )
    if "name resolution" in ended.stderr:
        missing("no package index can be reached")
    assert ended.returncode == 0, f"{command}\n{ended.stderr}"


def _clean() -> dict[str, str]:
    """Of the command line that runs the tests, pip's settings alone."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    binaries = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return {**kept, "PATH": binaries, "HOME": os.environ.get("HOME", "/")}


def version_of(python: Path) -> str:
    return said(python, "import importlib.metadata as m; print(m.version('edgevit'))")


@pytest.mark.parametrize("way", ["a file", "a folder"])
def test_edgevit_is_upgraded_and_installed_again(way: str, wheel: Path, device: Path) -> None:
    """pip notes where a file came from, and not in which folder it found a name."""
    folder = wheel.parent
    install(device, *([wheel] if way == "a file" else ["--find-links", folder, "edgevit"]))
    library = next(device.parents[1].glob("lib/python*/site-packages/**/libedgevit*.so"))
    library.unlink()
    again = said(device, f"{_HINTS}print(install_again_command())")
    assert ("--find-links ." in again) == (way == "a folder")
    paste(again, folder)
    assert library.exists()
    newer(wheel, folder)
    advice = said(device, f"{_HINTS}print(upgrade_advice())")
    assert "FOLDER" not in advice
    if way == "a file":
        assert str(folder) in advice
    paste(advice.partition(": ")[2], folder)
    assert version_of(device) == _NEWER
    next(folder.glob(f"edgevit-{_NEWER}-*.whl")).unlink()


@pytest.mark.parametrize("extra", ["", "serve", "video", "openvino"])
def test_what_a_device_lacks_is_installed(extra: str, wheel: Path, device: Path) -> None:
    """As after ``edgevit devices setup``: its wheel, and an environment of its own."""
    install(device, wheel)
    command = said(device, f"{_HINTS}print(install_command({extra!r}))")
    paste(f"{command} --quiet", Path("/"))
    names = re.findall(r'"([\w-]+)[^";]*"', command)  # without a marker, such as one of old Pythons
    assert names
    code = f"import importlib.metadata as m; print(*map(m.version, {names!r}))"
    assert len(said(device, code).split()) == len(names)

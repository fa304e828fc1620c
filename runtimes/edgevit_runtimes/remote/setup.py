"""Brings edgevit onto a device, and looks at what is there, before anything of ours is."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgevit.common import version
from edgevit.common.errors import DeviceError, InputError
from edgevit.common.progress import Progress
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.sanitize import harmless
from edgevit_runtimes.devices import record
from edgevit_runtimes.devices.advice import python_is_supported
from edgevit_runtimes.remote import bootstrap, protocol
from edgevit_runtimes.remote.ssh import Ssh

_NEEDED_MIB = 700  # numpy, ONNX Runtime, OpenCV and pip's own copies while it works
_ARCHITECTURES = ("aarch64", "x86_64")
_PIP_TIMEOUT_S = 1800


def facts(ssh: Ssh) -> dict[str, Any]:
    """What the device's own Python says.

    Raises:
        DeviceError: it has none, or cannot be reached.
    """
    try:
        answer = _bootstrapped(ssh, {"verb": "facts"}, 60)
    except DeviceError as error:
        if error.missing:
            raise DeviceError(
                f"{ssh.device.host} has no python3. There: sudo apt install python3 python3-venv"
            ) from error
        raise
    return answer


def recording(ssh: Ssh) -> str:
    """What the device is, as text; it needs a shell there and no Python."""
    return ssh.run(["sh"], record.script().encode())


def set_up(
    ssh: Ssh, progress: Progress, wheel: Path | None = None, offline: bool = False
) -> dict[str, Any]:
    """Installs this edgevit into a virtual environment there, beside what the system has.

    Args:
        wheel: of edgevit; by default it is built from what is running here.
        offline: the device needs no way to a package index: the wheels are fetched here.

    Raises:
        DeviceError: the device cannot run edgevit, or the installation failed; says why.
    """
    found = facts(ssh)
    _refuse_unfit(ssh.device.host, found)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        built = wheel or build_wheel(folder, str(found["architecture"]))
        progress.line(f"wheel {built.name}, SHA-256 {sha256_of(built)[:16]}")
        _send(ssh, built, built.name)
        if offline:
            python = ".".join(str(found["python"]).split(".")[:2])
            cuda = str(found.get("cuda") or "")
            fetched = fetch_wheels(folder / "wheels", python, found["architecture"], cuda)
            for dependency in fetched:
                progress.line(f"sending {dependency.name}")
                _send(ssh, dependency, f"wheels/{dependency.name}")
    job = {"verb": "install", "wheel": built.name, "offline": offline}
    answer = _bootstrapped(ssh, job, _PIP_TIMEOUT_S, progress)
    if not answer.get("installed"):
        raise DeviceError(f"{ssh.device.host}: pip failed: {harmless(str(answer.get('failed')))}")
    return answer


def _refuse_unfit(host: str, found: dict[str, Any]) -> None:
    python, architecture = str(found.get("python")), str(found.get("architecture"))
    if not python_is_supported(python):
        raise DeviceError(
            f"{host} has Python {harmless(python)}; edgevit needs 3.10 to 3.13, so it cannot run "
            f"there. What it is, can be seen all the same: edgevit doctor --host {host}"
        )
    if architecture not in _ARCHITECTURES:
        raise DeviceError(
            f"{host} is {harmless(architecture)}; edgevit runs on aarch64 and x86_64."
        )
    if not found.get("has_venv"):
        raise DeviceError(f"{host} lacks Python's venv. There: sudo apt install python3-venv")
    free = found.get("free_mib")
    if not isinstance(free, int) or free < _NEEDED_MIB:
        raise DeviceError(
            f"{host} has {harmless(str(free))} MiB free where edgevit is to live; it needs "
            f"{_NEEDED_MIB}. Make room there, or name another place: edgevit devices add --folder"
        )


def _bootstrapped(
    ssh: Ssh, job: dict[str, Any], timeout_s: float, progress: Progress | None = None
) -> dict[str, Any]:
    """Sends :mod:`.bootstrap` to the device's own Python; gives its last message."""
    script = Path(bootstrap.__file__).read_bytes()
    words = ["python3", "-", json.dumps({**job, "folder": ssh.device.folder})]
    last: dict[str, Any] = {}
    try:
        with tempfile.TemporaryFile() as given:
            given.write(script)
            given.seek(0)
            with ssh.streaming(words, given, timeout_s) as running:
                for last in protocol.messages(running, ssh.device.host):
                    if progress is not None and "line" in last:
                        progress.line(f"  {harmless(str(last['line']))}")
    except DeviceError:
        if "failed" not in last:  # else it said itself what was wrong, before it ended badly
            raise
    if not last:
        raise DeviceError(f"{ssh.device.host} answered nothing that edgevit understands.")
    return last


def _send(ssh: Ssh, file: Path, name: str) -> None:
    """Beside its place first, then renamed: a broken connection leaves no half file."""
    script = 'umask 077; mkdir -p "$(dirname "$1")" && cat > "$1.partial" && mv "$1.partial" "$1"'
    target = f"{ssh.device.folder}/{name}"
    ssh.run(["sh", "-c", script, "sh", target], file.read_bytes(), timeout_s=_PIP_TIMEOUT_S)


def build_wheel(folder: Path, architecture: str) -> Path:
    """Our wheel, from the checkout that is running, or rebuilt from what pip installed here.

    Args:
        architecture: of the device. The native engine is compiled for it by Zig where that is
            installed here, or for a processor like this by the compiler that is here; else it is
            left out.

    Raises:
        InputError: neither is there.
    """
    root = Path(version.__file__).parents[2]
    if not (root / "pyproject.toml").is_file():
        return _repacked(folder)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    built = subprocess.run(
        [*command, str(folder), str(root)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **engine_settings(architecture)},
    )
    wheels = sorted(folder.glob("edgevit-*.whl"))
    if built.returncode or not wheels:
        raise InputError(
            f"Our wheel could not be built: {harmless(built.stderr.strip()[-300:])}. "
            "Give one with --wheel."
        )
    return wheels[-1]


def engine_settings(architecture: str) -> dict[str, str]:
    """What ``setup.py`` is told of the native engine, as environment variables."""
    if find_spec("ziglang") is not None:
        target = f"{architecture}-linux-gnu.2.17"  # manylinux2014: JetPack 6 and older systems
        # pip hides what is installed from a build; -E is not to listen.
        zig = f"{sys.executable} -E -m ziglang c++ -target {target}"
        return {
            "EDGEVIT_PLATFORM": f"manylinux_2_17_{architecture}",
            "EDGEVIT_TARGET": target,
            "CXX": zig,
        }
    return {} if architecture == platform.machine() else {"EDGEVIT_WITHOUT_ENGINE": "1"}


def _repacked(folder: Path) -> Path:
    """A wheel holds what was installed: the files that its RECORD lists.

    But scripts, and the native engine, which is for this processor.
    """
    from zipfile import ZIP_DEFLATED, ZipFile

    try:
        distribution = Distribution.from_name("edgevit")
    except PackageNotFoundError as error:
        raise InputError("edgevit is not installed here. Give a wheel with --wheel.") from error
    target = folder / f"edgevit-{distribution.version}-py3-none-any.whl"
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name in distribution.files or ():
            is_ours = ".." not in name.parts and "__pycache__" not in name.parts
            if is_ours and name.suffix != ".so":
                archive.write(str(name.locate()), str(name))
    return target


def fetch_wheels(folder: Path, python: str, architecture: str, cuda: str = "") -> list[Path]:
    """Wheels of all that a device needs, into ``folder``; built ones only, for its processor.

    Args:
        python, cuda: versions there, such as 3.10 and 12.6.11; no CUDA: empty.

    Raises:
        InputError: one is missing, or no package index can be reached.
    """
    needed = [*bootstrap.NEEDED, *bootstrap.NEEDED_BEFORE_3_11, bootstrap.OPENCV]
    needed += bootstrap.extras(cuda)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    ended = subprocess.run(
        [*command, *pip_for(python, architecture), *needed],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise InputError(f"The wheels could not be fetched: {harmless(ended.stderr[-300:])}")
    return sorted(file for file in folder.glob("*.whl") if not file.name.startswith("edgevit-"))


def pip_for(python: str, architecture: str) -> list[str]:
    """Options that make pip choose wheels for another machine: JetPack 6 has glibc 2.35."""
    platforms = [f"manylinux_2_{glibc}_{architecture}" for glibc in (28, 27, 17)]
    platforms.append(f"manylinux2014_{architecture}")
    chosen = [word for name in platforms for word in ("--platform", name)]
    return ["--only-binary=:all:", "--python-version", python, *chosen]

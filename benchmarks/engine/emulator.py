"""Programs for arm64 under QEMU, and how many instructions they execute."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevit.common.errors import EdgevitError, InputError

_PLUGIN = Path(__file__).with_name("count_instructions.c")
_FIRST_WITH_INTERFACE_2 = 9  # earlier releases of QEMU refuse a plugin that says so
_BUILDING = "./configure --target-list=aarch64-linux-user --enable-plugins && make"


@dataclass(frozen=True)
class Emulator:
    """QEMU's user-mode emulation with the plugin that counts.

    libraries: a folder whose ``lib`` has arm64's dynamic loader and C library, or None where
    programs are static.
    """

    qemu: str
    version: str
    plugin: Path
    libraries: Path | None

    def count(self, processor: str, command: Sequence[object]) -> tuple[int, str]:
        """(instructions of a whole run, what the program printed).

        Args:
            processor: as QEMU's ``-cpu`` names it.

        Raises:
            EdgevitError: the program failed, or QEMU did.
        """
        with tempfile.TemporaryDirectory() as folder:
            counted = Path(folder) / "instructions"
            plugin = f"file={self.plugin},out={counted}"
            words = [self.qemu, "-cpu", processor, "-plugin", plugin]
            if self.libraries is not None:
                words += ["-L", str(self.libraries)]
            ended = subprocess.run(
                [*words, *map(str, command)], capture_output=True, text=True, check=False
            )
            if ended.returncode or not counted.exists():
                raise EdgevitError(
                    f"QEMU {self.version} with -cpu {processor} ended {Path(str(command[0])).name} "
                    f"with status {ended.returncode}: {ended.stderr.strip()[-500:]}"
                )
            return int(counted.read_text()), ended.stdout.strip()


def open_emulator(qemu: str, folder: Path, libraries: Path | None = None) -> Emulator:
    """The emulator, its plugin built into ``folder``.

    Raises:
        InputError: QEMU or a C compiler is missing, or this QEMU takes no plugins.
    """
    found = shutil.which(qemu)
    if found is None:
        raise InputError(f"{qemu} is missing. Build QEMU with plugins ({_BUILDING}); --qemu FILE")
    if "-plugin" not in _said(found, "--help"):
        raise InputError(
            f"{found} was built without plugins, which count instructions, as Debian's static "
            f"ones are. Build QEMU with them: {_BUILDING}"
        )
    version = re.search(r"version (\d+)\.[\d.]+", _said(found, "--version"))
    if version is None:
        raise InputError(f"{found} --version names no version: is it QEMU's qemu-aarch64?")
    interface = 2 if int(version[1]) >= _FIRST_WITH_INTERFACE_2 else 1
    plugin = _built_plugin(folder / f"count_instructions-{interface}.so", interface)
    return Emulator(found, version[0].removeprefix("version "), plugin, libraries)


def _built_plugin(target: Path, interface: int) -> Path:
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        raise InputError(f"{compiler} is missing: apt-get install gcc")
    options = ["-O2", "-Wall", "-shared", "-fPIC", f"-DPLUGIN_INTERFACE={interface}"]
    subprocess.run([compiler, *options, str(_PLUGIN), "-o", str(target)], check=True)
    return target.resolve()


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout

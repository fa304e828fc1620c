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
# Releases before this one refuse a plugin that says interface 2, and not all of them show a program
# the /proc/cpuinfo of its own processor. ONNX Runtime 1.32 does not survive that of an x86 machine:
# it writes through a null pointer when it is loaded (docs/native.md).
_RECENT = (9, 0)
_PARTS = {"cortex-a53": 0xD03, "cortex-a72": 0xD08, "cortex-a76": 0xD0B, "neoverse-n1": 0xD0C}
_CPUINFO = """processor\t: {place}
BogoMIPS\t: 100.00
Features\t: fp asimd
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part:#x}
CPU revision\t: 0

"""
_INSTALLING = (
    "apt-get install qemu-user (Debian 12), or build QEMU: "
    "./configure --target-list=aarch64-linux-user --enable-plugins && make"
)


@dataclass(frozen=True)
class Emulator:
    """QEMU's user-mode emulation with the plugin that counts.

    libraries: a folder whose ``lib`` has arm64's dynamic loader and C library, or None where
        programs are static.
    """

    qemu: str
    version: tuple[int, ...]
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
            counted, root = Path(folder) / "instructions", Path(folder) / "root"
            self._write_root(root, processor)
            plugin = f"file={self.plugin},out={counted}"
            words = [self.qemu, "-cpu", processor, "-plugin", plugin, "-L", str(root)]
            ended = subprocess.run(
                [*words, *map(str, command)], capture_output=True, text=True, check=False
            )
            if ended.returncode or not counted.exists():
                raise EdgevitError(
                    f"{self.name} with -cpu {processor} ended {Path(str(command[0])).name} "
                    f"with status {ended.returncode}: {ended.stderr.strip()[-500:]}"
                )
            return int(counted.read_text()), ended.stdout.strip()

    @property
    def name(self) -> str:
        return f"QEMU {'.'.join(map(str, self.version))}"

    def _write_root(self, root: Path, processor: str) -> None:
        """What a program finds before this machine's own files."""
        root.mkdir()
        if self.libraries is None:
            return
        (root / "lib").symlink_to(self.libraries.resolve() / "lib")
        if self.version < _RECENT:
            if processor not in _PARTS:
                raise InputError(f"{self.name} is too old for -cpu {processor}: it takes 9.0")
            (root / "proc").mkdir()
            (root / "proc" / "cpuinfo").write_text(
                "".join(
                    _CPUINFO.format(place=place, part=_PARTS[processor])
                    for place in range(os.cpu_count() or 1)
                )
            )


def open_emulator(qemu: str, folder: Path, libraries: Path | None = None) -> Emulator:
    """The emulator, its plugin built into ``folder``.

    Raises:
        InputError: QEMU or a C compiler is missing, or this QEMU takes no plugins.
    """
    found = shutil.which(qemu)
    if found is None:
        raise InputError(f"{qemu} is missing: {_INSTALLING}")
    if "-plugin" not in _said(found, "--help"):
        raise InputError(
            f"{found} takes no plugins, which count instructions (Debian's static ones do not): "
            f"{_INSTALLING}"
        )
    said = re.search(r"version (\d+(?:\.\d+)+)", _said(found, "--version"))
    if said is None:
        raise InputError(f"{found} --version names no version: is it QEMU's qemu-aarch64?")
    version = tuple(map(int, said[1].split(".")))
    interface = 2 if version >= _RECENT else 1
    plugin = _built_plugin(folder / f"count_instructions-{interface}.so", interface)
    return Emulator(found, version, plugin, libraries)


def _built_plugin(target: Path, interface: int) -> Path:
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        raise InputError(f"{compiler} is missing: apt-get install gcc")
    options = ["-O2", "-Wall", "-shared", "-fPIC", f"-DPLUGIN_INTERFACE={interface}"]
    subprocess.run([compiler, *options, str(_PLUGIN), "-o", str(target)], check=True)
    return target.resolve()


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout

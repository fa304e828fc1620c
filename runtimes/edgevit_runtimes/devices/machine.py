"""What machine this is, in one record: all that a published figure has to state."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from edgevit_runtimes.devices import arm64, jetson, x86
from edgevit_runtimes.devices.tree import Tree


@dataclass(frozen=True)
class Gpu:
    """A CUDA GPU that ``nvidia-smi`` lists."""

    name: str
    driver: str
    capability: str | None
    memory_mib: int | None


@dataclass(frozen=True)
class CpuClock:
    """The limits of the fastest cores, in MHz; None where the system does not say."""

    governor: str | None
    min_mhz: float | None
    max_mhz: float | None


@dataclass(frozen=True)
class Machine:
    """None is "unavailable": the system does not say.

    kind: ``x86``, ``jetson``, ``raspberry-pi`` or ``arm64``.
    name: of the board or computer. python: of the system, by ``python3``.
    emulated: the processor is an x86 that plays another one, so its times mean nothing.
    """

    kind: str
    name: str | None
    architecture: str
    emulated: bool
    processor: str | None
    cores_usable: int
    threads_per_core: int | None
    instruction_sets: tuple[str, ...]
    governor: str | None
    cpu_clock: CpuClock
    memory_mib: int | None
    system: str | None
    kernel: str | None
    python: str | None
    jetson: jetson.Jetson | None
    gpus: tuple[Gpu, ...]

    @property
    def label(self) -> str:
        """One name for it: of a board its own, of a computer its processor's."""
        board = None if self.kind == "x86" else self.name
        return board or self.processor or self.name or self.architecture


def describe(root: Path = Path("/")) -> Machine:
    """Reads this machine, or a recorded tree of another."""
    tree = Tree(root)
    kernel, architecture = _kernel(tree)
    common = x86.describe(root)
    is_arm = architecture == "aarch64"
    clock = _cpu_clock(tree)
    return Machine(
        kind=_kind(tree, is_arm),
        name=_name(tree),
        architecture=architecture,
        emulated=is_arm and "flags" in tree.fields("proc/cpuinfo"),
        processor=arm64.processor(tree) if is_arm else common.processor,
        cores_usable=common.cores_usable,
        threads_per_core=1 if is_arm else common.threads_per_core,
        instruction_sets=arm64.instruction_sets(tree) if is_arm else common.instruction_sets,
        governor=clock.governor,
        cpu_clock=clock,
        memory_mib=common.memory_mib,
        system=tree.fields("etc/os-release", "=").get("PRETTY_NAME", "").strip('"') or None,
        kernel=kernel,
        python=_python(tree),
        jetson=jetson.describe(tree) if jetson.is_jetson(tree) else None,
        gpus=_gpus(tree),
    )


def _kernel(tree: Tree) -> tuple[str | None, str]:
    """(release, architecture), as in ``Linux 5.15.148-tegra aarch64``."""
    words = (tree.tool("uname") or "").split()
    if len(words) == 3:
        return words[1], words[2]
    return None, platform.machine() if tree.is_live else "unknown"


def _kind(tree: Tree, is_arm: bool) -> str:
    if jetson.is_jetson(tree):
        return "jetson"
    if "raspberrypi" in (tree.text("proc/device-tree/compatible") or ""):
        return "raspberry-pi"
    return "arm64" if is_arm else "x86"


def _name(tree: Tree) -> str | None:
    board = tree.line("proc/device-tree/model")
    if board:
        return board
    parts = (tree.line(f"sys/class/dmi/id/{part}") for part in ("sys_vendor", "product_name"))
    return " ".join(part for part in parts if part) or None


def _python(tree: Tree) -> str | None:
    if tree.is_live:
        return platform.python_version()
    found = re.search(r"Python (\d+\.\d+\.\d+)", tree.tool("python") or "")
    return found[1] if found else None


def _cpu_clock(tree: Tree) -> CpuClock:
    limits = []
    for policy in tree.glob("sys/devices/system/cpu/cpufreq/policy*"):
        least = tree.number(f"{policy}/scaling_min_freq")
        most = tree.number(f"{policy}/scaling_max_freq")
        if least is not None and most is not None:
            limits.append((most / 1e3, least / 1e3))
    most_mhz, least_mhz = max(limits, default=(None, None))
    return CpuClock(x86.governor(tree), least_mhz, most_mhz)


def _gpus(tree: Tree) -> tuple[Gpu, ...]:
    """Lines such as ``NVIDIA GeForce RTX 4090, 550.54.14, 8.9, 24564``."""
    lines = (tree.tool("nvidia-smi") or "").splitlines()
    rows = [[part.strip() for part in line.split(",")] for line in lines]
    return tuple(
        Gpu(name, driver, _known(capability), int(memory) if memory.isdigit() else None)
        for name, driver, capability, memory in (row for row in rows if len(row) == 4)
    )


def _known(value: str) -> str | None:
    """``nvidia-smi`` answers ``[N/A]`` or ``[Not Supported]`` for what it cannot say."""
    return None if value.startswith("[") else value

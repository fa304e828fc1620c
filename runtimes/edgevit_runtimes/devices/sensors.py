"""How the machine is doing at a moment: temperatures, clocks, throttling, power."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

from edgevit_runtimes.devices.jetson import GPU_CLOCKS
from edgevit_runtimes.devices.power import PowerRails, open_power
from edgevit_runtimes.devices.tree import Tree

# Cooling devices whose state above zero means that something is being slowed down. Fans are not.
_SLOWING = re.compile(
    r".*-throttle-alert|hot-surface-alert|.*balanced|cpufreq-.*|devfreq-.*|thermal-(cpu|dev)freq.*"
    r"|Processor"
)
_OFF_MILLIDEGREES = -100_000  # a sensor that is switched off says -256 C on some kernels
_PLACEHOLDERS = {"PMIC-Die"}  # always 100 C
_PI_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
_PI_NOW = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}


@dataclass(frozen=True)
class CpuTime:
    """Seconds since the machine started, all processors together.

    reader_s: of which the process that reads this took so many.
    """

    busy_s: float
    stolen_s: float
    reader_s: float = 0.0


@dataclass(frozen=True)
class Reading:
    """What could be read at a moment; what could not is absent.

    at_ns: of the monotonic clock, which all processes share.
    temperatures_c: by thermal zone. clocks_mhz: by ``cpu0``... (clock domain) and ``gpu``.
    slowed: states of cooling devices that slow a part down; above zero is active.
    counters: throttling events since the machine started.
    rails_mw: power by rail. energy_uj: energy counters, of a processor that has them.
    cpu: how busy the processors were.
    """

    at_ns: int
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    clocks_mhz: Mapping[str, float] = field(default_factory=dict)
    slowed: Mapping[str, int] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    rails_mw: Mapping[str, float] = field(default_factory=dict)
    energy_uj: Mapping[str, int] = field(default_factory=dict)
    cpu: CpuTime | None = None


class Sensors:
    """The sensors that a machine has, found once. A context manager, for those that are tools.

    Args:
        root: of the recorded tree of another machine.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.tree = Tree(root)
        zones = _by_label(self.tree, "sys/class/thermal/thermal_zone*/type")
        self._zones = {k: v for k, v in zones.items() if k not in _PLACEHOLDERS}
        self._zones.update(_hwmon_temperatures(self.tree))
        self._clocks = _clock_files(self.tree)
        self._cooling = {
            label: folder
            for label, folder in _by_label(
                self.tree, "sys/class/thermal/cooling_device*/type"
            ).items()
            if _SLOWING.fullmatch(label.partition("#")[0])
        }
        self._counters = _counter_files(self.tree)
        self.power: PowerRails = open_power(self.tree)

    def read(self) -> Reading:
        """Reads everything once; takes a few milliseconds where sensors sit on a slow bus."""
        number = self.tree.number
        zones = {label: number(_temperature(path)) for label, path in self._zones.items()}
        clocks = {label: number(path) for label, (path, _) in self._clocks.items()}
        return Reading(
            at_ns=time.monotonic_ns(),
            temperatures_c={k: v / 1e3 for k, v in zones.items() if _is_temperature(v)},
            clocks_mhz={k: v / self._clocks[k][1] for k, v in clocks.items() if v},
            slowed=_present({k: number(f"{v}/cur_state") for k, v in self._cooling.items()})
            | _pi_throttling(self.tree),
            counters=_present({k: number(v) for k, v in self._counters.items()}),
            rails_mw=self.power.rails_mw(),
            energy_uj=self.power.energy_uj(),
            cpu=_cpu_time(self.tree),
        )

    def close(self) -> None:
        self.power.close()

    def __enter__(self) -> Sensors:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _is_temperature(millidegrees: int | None) -> TypeGuard[int]:
    return millidegrees is not None and millidegrees != 0 and millidegrees > _OFF_MILLIDEGREES


def _present(values: dict[str, int | None]) -> dict[str, int]:
    return {key: value for key, value in values.items() if value is not None}


def _by_label(tree: Tree, pattern: str) -> dict[str, str]:
    """Folders by what their ``type`` says; a second of the same name is ``NAME#2``."""
    folders: dict[str, str] = {}
    seen: dict[str, int] = {}
    for path in tree.glob(pattern):
        label = tree.line(path) or "unnamed"
        seen[label] = seen.get(label, 0) + 1
        key = label if seen[label] == 1 else f"{label}#{seen[label]}"
        folders[key] = path.rpartition("/")[0]
    return folders


def _hwmon_temperatures(tree: Tree) -> dict[str, str]:
    """The processor's own sensors on x86: coretemp's package, AMD's Tctl."""
    files: dict[str, str] = {}
    for path in tree.glob("sys/class/hwmon/hwmon*/name"):
        folder, chip = path.rpartition("/")[0], tree.line(path)
        if chip in ("coretemp", "k10temp", "zenpower"):
            label = tree.line(f"{folder}/temp1_label") or chip
            files[f"{chip} {label}"] = f"{folder}/temp1_input"
    return files


def _temperature(path: str) -> str:
    return path if path.endswith("_input") else f"{path}/temp"


def _clock_files(tree: Tree) -> dict[str, tuple[str, float]]:
    """(file, units in a MHz) by clock: CPU policies count in kHz, the GPU in Hz."""
    files: dict[str, tuple[str, float]] = {}
    for policy in tree.glob("sys/devices/system/cpu/cpufreq/policy*"):
        file = f"{policy}/scaling_cur_freq"
        if tree.number(file) is not None:
            files[f"cpu{policy.rpartition('policy')[2]}"] = (file, 1e3)
    for folder in GPU_CLOCKS:
        if tree.number(f"{folder}/cur_freq") is not None:
            files["gpu"] = (f"{folder}/cur_freq", 1e6)
    return files


def _counter_files(tree: Tree) -> dict[str, str]:
    """Over-current events of a Jetson; throttling counts of an Intel package."""
    files: dict[str, str] = {}
    for name in tree.glob("sys/class/hwmon/hwmon*/name"):
        if tree.line(name) == "soctherm_oc":
            for path in tree.glob(f"{name.removesuffix('/name')}/oc*_event_cnt"):
                files[f"over-current {path.rpartition('/')[2].partition('_')[0]}"] = path
    for path in tree.glob("sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count"):
        cpu = path.split("/")[4]
        files[f"package throttled, seen by {cpu}"] = path
        core = path.replace("package_", "core_")
        if tree.number(core) is not None:
            files[f"core throttled, {cpu}"] = core
    return files


def _cpu_time(tree: Tree) -> CpuTime | None:
    """The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal."""
    words = (tree.text("proc/stat") or "").partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    user, nice, system, _, _, irq, softirq, steal = (int(word) for word in words[1:9])
    hertz = os.sysconf("SC_CLK_TCK")
    busy = (user + nice + system + irq + softirq) / hertz
    return CpuTime(busy, steal / hertz, time.process_time())


def _pi_throttling(tree: Tree) -> dict[str, int]:
    """What the Raspberry Pi's firmware says of this moment, in bits: hex, such as ``50005``."""
    line = tree.line(_PI_THROTTLED)
    if line is None:
        return {}
    try:
        bits = int(line, 16)
    except ValueError:
        return {}
    return {label: (bits >> bit) & 1 for bit, label in _PI_NOW.items()}

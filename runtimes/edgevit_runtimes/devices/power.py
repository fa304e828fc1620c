"""Where a machine says how much power it draws: rails, ``tegrastats``, or energy counters."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from typing import Protocol

from edgevit_runtimes.devices.tree import Tree

# The first of these that a board has is what the whole of it takes in; else rails are added up.
_WHOLE_INPUT = ("VIN", "VDD_IN", "POM_5V_IN")
_TEGRASTATS_INTERVAL_MS = 100
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/(\d+)(?:mW)?(?![\w%])")
_NOT_RAILS = {"RAM", "SWAP", "IRAM"}


class PowerRails(Protocol):
    """One source of power. ``source`` says which; None where there is none."""

    source: str | None
    why_not: str

    def rails_mw(self) -> Mapping[str, float]: ...

    def energy_uj(self) -> Mapping[str, int]: ...

    def counter_range_uj(self) -> Mapping[str, int]: ...

    def close(self) -> None: ...


class NoPower:
    """A machine that does not say, and why."""

    def __init__(self, why_not: str) -> None:
        self.source: str | None = None
        self.why_not = why_not

    def rails_mw(self) -> Mapping[str, float]:
        return {}

    def energy_uj(self) -> Mapping[str, int]:
        return {}

    def counter_range_uj(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        return None


class InaRails(NoPower):
    """INA3221 and INA238 power monitors that the kernel's hwmon drivers show (JetPack 5 and later).

    An INA3221 gives volts and amperes by labelled channel; channels without a label, and the
    channel of summed shunt voltages, are no rails. An INA238 gives microwatts.
    """

    def __init__(self, tree: Tree) -> None:
        super().__init__("no power monitor chip is readable")
        self._tree = tree
        self._channels = _ina_channels(tree)
        if self._channels and self.rails_mw():
            self.source = "power monitors on the board (hwmon INA)"

    def rails_mw(self) -> Mapping[str, float]:
        rails = {label: self._milliwatts(*paths) for label, paths in self._channels.items()}
        return {label: power for label, power in rails.items() if power is not None}

    def _milliwatts(self, volts: str, amperes: str) -> float | None:
        first = self._tree.number(volts)
        if not amperes:
            return first / 1e3 if first is not None else None
        second = self._tree.number(amperes)
        return first * second / 1e3 if first is not None and second is not None else None


def _ina_channels(tree: Tree) -> dict[str, tuple[str, str]]:
    """Files by rail: (mV, mA), or (uW, nothing)."""
    channels: dict[str, tuple[str, str]] = {}
    for name in tree.glob("sys/class/hwmon/hwmon*/name"):
        folder, chip = name.removesuffix("/name"), tree.line(name) or ""
        if chip == "ina3221":
            channels.update(_ina3221(tree, folder))
        elif chip.startswith("ina2") and tree.number(f"{folder}/power1_input") is not None:
            channels[tree.line(f"{folder}/label") or "VIN"] = (f"{folder}/power1_input", "")
    return channels


def _ina3221(tree: Tree, folder: str) -> dict[str, tuple[str, str]]:
    channels = {}
    for path in tree.glob(f"{folder}/in[1-3]_label"):
        label, number = tree.line(path) or "", path[-len("1_label")]
        if label and "NC" not in label.split() and "shunt" not in label:
            channels[label] = (f"{folder}/in{number}_input", f"{folder}/curr{number}_input")
    return channels


class Tegrastats(NoPower):
    """The rails that NVIDIA's ``tegrastats`` prints, for systems that hide the chips from users."""

    def __init__(self) -> None:
        super().__init__("tegrastats prints no power")
        self._rails: dict[str, float] = {}
        self._first = threading.Event()
        self._process = subprocess.Popen(
            ["tegrastats", "--interval", str(_TEGRASTATS_INTERVAL_MS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._follow, daemon=True).start()
        if self._first.wait(timeout=3.0) and self._rails:
            self.source = "tegrastats"

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._rails = parse_tegrastats(line)
            self._first.set()
        self._rails = {}  # it ended: an old figure is no reading
        self._first.set()

    def rails_mw(self) -> Mapping[str, float]:
        return dict(self._rails)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def parse_tegrastats(line: str) -> dict[str, float]:
    """Rails of one line, in mW: the present value of ``VDD_IN 4521mW/4480mW``, ``CPU 468/450``."""
    return {name: float(now) for name, now, _ in _RAIL.findall(line) if name not in _NOT_RAILS}


class Rapl(NoPower):
    """Energy counters of an x86 package (powercap), readable by root or by a person's choice."""

    def __init__(self, tree: Tree) -> None:
        super().__init__("the energy counter (RAPL) cannot be read by this user")
        self._tree = tree
        zones = tree.glob("sys/class/powercap/intel-rapl:[0-9]*")
        self._packages = {
            tree.line(f"{zone}/name") or zone: zone for zone in zones if zone.count(":") == 1
        }
        if self.energy_uj():
            self.source = "package energy counter (RAPL)"

    def energy_uj(self) -> Mapping[str, int]:
        return self._numbers("energy_uj")

    def counter_range_uj(self) -> Mapping[str, int]:
        """Where each counter starts again from zero."""
        return self._numbers("max_energy_range_uj")

    def _numbers(self, file: str) -> dict[str, int]:
        read = {
            label: self._tree.number(f"{zone}/{file}") for label, zone in self._packages.items()
        }
        return {label: value for label, value in read.items() if value is not None}


def open_power(tree: Tree) -> PowerRails:
    """The best source that this machine lets us read."""
    chips = InaRails(tree)
    if chips.source:
        return chips
    if tree.is_live and shutil.which("tegrastats"):
        tool = Tegrastats()
        if tool.source:
            return tool
        tool.close()
    if tree.glob("sys/class/powercap/intel-rapl:*"):
        return Rapl(tree)
    return NoPower("this machine shows no power monitor and no energy counter")


def whole_input(rails: Mapping[str, float]) -> tuple[float, str]:
    """(mW, what that is): the rail that feeds the whole board, or the sum of those there are."""
    for name in _WHOLE_INPUT:
        if name in rails:
            return rails[name], name
    return sum(rails.values()), "sum of " + ", ".join(sorted(rails))

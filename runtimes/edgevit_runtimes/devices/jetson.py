"""Facts about a Jetson, from the files that L4T writes; power mode and fan included."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from edgevit_runtimes.devices.tree import Tree

# JetPack names no version in a file unless its package is installed: then L4T's release tells.
_JETPACK_OF_L4T = {
    "35.1.0": "5.0.2", "35.2.1": "5.1", "35.3.1": "5.1.1", "35.4.1": "5.1.2",
    "35.5.0": "5.1.3", "35.6.0": "5.1.4", "35.6.1": "5.1.5", "35.6.2": "5.1.5",
    "36.2.0": "6.0 DP", "36.3.0": "6.0", "36.4.0": "6.1", "36.4.2": "6.1.1",
    "36.4.3": "6.2", "36.4.4": "6.2.1", "36.4.7": "6.2.1",
    "36.5.0": "6.2.2", "36.5.2": "6.2.3",
    "38.2.0": "7.0", "38.2.1": "7.0", "38.2.2": "7.0", "38.4.0": "7.1",
    "39.2.0": "7.2", "39.2.1": "7.2.1",
}  # fmt: skip
_SOC_CAPABILITY = {"tegra194": "7.2", "tegra234": "8.7", "tegra264": "11.0"}
GPU_CLOCKS = (
    "sys/class/devfreq/17000000.gpu",  # Orin, JetPack 6
    "sys/class/devfreq/17000000.ga10b",  # Orin, JetPack 5
    "sys/class/devfreq/17000000.gv11b",  # Xavier
    "sys/class/devfreq/gpu-gpc-0",  # Thor
)


@dataclass(frozen=True)
class GpuClock:
    """In MHz. Locked: the least is the most, as after ``jetson_clocks``."""

    governor: str | None
    min_mhz: float | None
    max_mhz: float | None

    @property
    def is_locked(self) -> bool:
        return self.min_mhz is not None and self.min_mhz == self.max_mhz


@dataclass(frozen=True)
class Fan:
    """duty: 0 to 255, as the driver counts. rpm: None where no tachometer is read."""

    duty: int | None
    rpm: int | None


@dataclass(frozen=True)
class Jetson:
    """None is "unavailable".

    jetpack_source: ``package`` (nvidia-jetpack is installed) or ``L4T release`` (looked up).
    gpu_capability: CUDA's, by the chip.
    """

    module: str
    soc: str | None
    l4t: str | None
    jetpack: str | None
    jetpack_source: str | None
    cuda: str | None
    tensorrt: str | None
    power_mode: str | None
    gpu_capability: str | None
    gpu_clock: GpuClock
    fan: Fan


def is_jetson(tree: Tree) -> bool:
    return tree.text("etc/nv_tegra_release") is not None or _soc(tree) is not None


def describe(tree: Tree) -> Jetson:
    l4t, soc = _l4t(tree), _soc(tree)
    jetpack, source = _jetpack(tree, l4t)
    return Jetson(
        module=tree.line("proc/device-tree/model") or "NVIDIA Jetson",
        soc=soc,
        l4t=l4t,
        jetpack=jetpack,
        jetpack_source=source,
        cuda=_cuda(tree),
        tensorrt=_tensorrt(tree),
        power_mode=_power_mode(tree),
        gpu_capability=_SOC_CAPABILITY.get(soc or ""),
        gpu_clock=_gpu_clock(tree),
        fan=_fan(tree),
    )


def _soc(tree: Tree) -> str | None:
    compatible = tree.text("proc/device-tree/compatible") or ""
    found = re.search(r"nvidia,(tegra\d+)", compatible)
    return found[1] if found else None


def _l4t(tree: Tree) -> str | None:
    """``# R36 (release), REVISION: 4.3, GCID: ...`` is 36.4.3."""
    text = tree.text("etc/nv_tegra_release") or ""
    found = re.search(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text)
    return f"{found[1]}.{found[2]}" if found else None


def _jetpack(tree: Tree, l4t: str | None) -> tuple[str | None, str | None]:
    package = re.match(r"\d+(?:\.\d+)+", tree.tool("jetpack") or "")
    if package:
        return package[0], "package"
    looked_up = _JETPACK_OF_L4T.get(l4t or "")
    return looked_up, "L4T release" if looked_up else None


def _cuda(tree: Tree) -> str | None:
    try:
        version = json.loads(tree.text("usr/local/cuda/version.json") or "")["cuda"]["version"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(version)


def _tensorrt(tree: Tree) -> str | None:
    """By the library's name, which carries the full version in every release."""
    names = tree.glob("usr/lib/*/libnvinfer.so.*.*.*")
    return names[-1].partition(".so.")[2] if names else None


def _power_mode(tree: Tree) -> str | None:
    """As ``nvpmodel -q`` says, or from the files that it keeps, which need no privilege."""
    found = re.search(r"NV Power Mode: *(\S+)", tree.tool("nvpmodel") or "")
    if found:
        return found[1]
    stored = re.search(r"pmode:0*(\d+)", tree.text("var/lib/nvpmodel/status") or "")
    if not stored:
        return None
    modes: dict[str, str] = dict(
        re.findall(r"< *POWER_MODEL +ID=(\d+) +NAME=(\S+)", tree.text("etc/nvpmodel.conf") or "")
    )
    return modes.get(stored[1], f"mode {stored[1]}")


def _gpu_clock(tree: Tree) -> GpuClock:
    folder = next((f for f in GPU_CLOCKS if tree.line(f"{f}/max_freq")), GPU_CLOCKS[0])
    least, most = (tree.number(f"{folder}/{name}") for name in ("min_freq", "max_freq"))
    return GpuClock(
        governor=tree.line(f"{folder}/governor"),
        min_mhz=least / 1e6 if least is not None else None,
        max_mhz=most / 1e6 if most is not None else None,
    )


def _fan(tree: Tree) -> Fan:
    duty = rpm = None
    for name in tree.glob("sys/class/hwmon/hwmon*/name"):
        folder, kind = name.removesuffix("/name"), tree.line(name)
        if kind == "pwmfan":
            duty = tree.number(f"{folder}/pwm1")
        elif kind == "pwm_tach":
            rpm = tree.number(f"{folder}/rpm")
            rpm = tree.number(f"{folder}/fan1_input") if rpm is None else rpm
    return Fan(duty, rpm)

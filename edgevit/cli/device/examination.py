"""What ``doctor`` and ``devices`` say of a machine: from its files, or from a recording of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError

_OWN_FACTS = ("edgevit", "python", "system", "prebuilt_bundle", "native_kernels")


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
        return machine_and_advice(Path(scratch))


def machine_and_advice(root: Path) -> dict[str, Any]:
    from dataclasses import asdict

    from edgevit_runtimes.devices.advice import advise
    from edgevit_runtimes.devices.machine import describe

    machine = describe(root)
    return {
        "machine": asdict(machine),
        "advice": [asdict(advice) for advice in advise(machine, root)],
    }


def print_examination(content: dict[str, Any]) -> None:
    from edgevit.common.console import print_table

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

"""What is known of a machine, as rows of a table."""

from __future__ import annotations

from typing import Any


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
        ("clocks locked", _locked(jetson)),
        ("fan", f"duty {shown(fan['duty'], ' of 255')}, {shown(fan['rpm'], ' rpm')}"),
    ]


def _locked(jetson: dict[str, Any]) -> str:
    """``jetson_clocks`` sets the least clock to the most; the power mode says which that is."""
    clock = jetson["gpu_clock"]
    least, most = clock["min_mhz"], clock["max_mhz"]
    if least is None or most is None:
        return "unavailable"
    mode = f"power mode {shown(jetson['power_mode'])}"
    if least == most:
        return f"yes, as after jetson_clocks; {mode}"
    return f"no, the GPU's move; lock them with: sudo jetson_clocks; {mode}"


def _clock(clock: dict[str, Any]) -> str:
    least, most = clock["min_mhz"], clock["max_mhz"]
    if least is None or most is None:
        return "unavailable"
    limits = f"locked at {most:.0f} MHz" if least == most else f"{least:.0f} to {most:.0f} MHz"
    return f"{limits}, {clock['governor']}" if clock["governor"] else limits


def shown(value: object, unit: str = "") -> str:
    """A value with its unit; what could not be read is never a zero."""
    return "unavailable" if value is None else f"{value}{unit}"

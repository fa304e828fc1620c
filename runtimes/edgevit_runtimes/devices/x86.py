"""Facts about an x86 Linux machine, from /proc and /sys below a root that can be set."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_WANTED_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")


@dataclass(frozen=True)
class X86:
    """None is "unavailable": the system does not say."""

    processor: str | None
    cores_usable: int
    threads_per_core: int | None
    instruction_sets: tuple[str, ...]
    governor: str | None
    memory_mib: int | None


def describe(root: Path = Path("/")) -> X86:
    """Reads this machine, or a recorded tree of one."""
    cpuinfo = _fields(root / "proc/cpuinfo")
    memory_kib = _fields(root / "proc/meminfo").get("MemTotal", "").split()
    flags = cpuinfo.get("flags", "").split()
    return X86(
        processor=cpuinfo.get("model name"),
        cores_usable=len(os.sched_getaffinity(0)),
        threads_per_core=_threads_per_core(cpuinfo),
        instruction_sets=tuple(flag for flag in _WANTED_FLAGS if flag in flags),
        governor=_line(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        memory_mib=int(memory_kib[0]) // 1024 if memory_kib else None,
    )


def _threads_per_core(cpuinfo: dict[str, str]) -> int | None:
    siblings, cores = cpuinfo.get("siblings", ""), cpuinfo.get("cpu cores", "")
    if not (siblings.isdigit() and cores.isdigit() and int(cores)):
        return None
    return int(siblings) // int(cores)


def _fields(path: Path) -> dict[str, str]:
    """The first value of every ``key : value`` line; empty if the file cannot be read."""
    fields: dict[str, str] = {}
    for line in (_text(path) or "").splitlines():
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip(), value.strip())
    return fields


def _line(path: Path) -> str | None:
    text = _text(path)
    return text.strip() if text else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None

"""Facts about an x86 Linux machine, from /proc and /sys below a root that can be set."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from edgevit_runtimes.devices.tree import Tree

_WANTED_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")


class X86(Struct, frozen=True):
    """None is "unavailable": the system does not say."""

    processor: str | None
    cores_usable: int
    threads_per_core: int | None
    instruction_sets: tuple[str, ...]
    governor: str | None
    memory_mib: int | None


def describe(root: Path = Path("/")) -> X86:
    """Reads this machine, or a recorded tree of one."""
    tree = Tree(root)
    cpuinfo = tree.fields("proc/cpuinfo")
    flags = cpuinfo.get("flags", "").split()
    return X86(
        processor=cpuinfo.get("model name"),
        cores_usable=cores_usable(tree),
        threads_per_core=_threads_per_core(cpuinfo),
        instruction_sets=tuple(flag for flag in _WANTED_FLAGS if flag in flags),
        governor=governor(tree),
        memory_mib=memory_mib(tree),
    )


def cores_usable(tree: Tree) -> int:
    """Those that this process may use; in a recording, those that are switched on."""
    if tree.is_live:
        return len(os.sched_getaffinity(0))
    lines = (tree.text("proc/cpuinfo") or "").splitlines()
    return sum(line.partition(":")[0].strip() == "processor" for line in lines)


def governor(tree: Tree) -> str | None:
    """How the first processor's clock is chosen."""
    return tree.line("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def memory_mib(tree: Tree) -> int | None:
    kib = tree.fields("proc/meminfo").get("MemTotal", "").split()
    return int(kib[0]) // 1024 if kib and kib[0].isdigit() else None


def _threads_per_core(cpuinfo: dict[str, str]) -> int | None:
    siblings, cores = cpuinfo.get("siblings", ""), cpuinfo.get("cpu cores", "")
    if not (siblings.isdigit() and cores.isdigit() and int(cores)):
        return None
    return int(siblings) // int(cores)

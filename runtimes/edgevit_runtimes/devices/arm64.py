"""Facts about an arm64 processor: Linux gives numbers where x86 gives a name."""

from __future__ import annotations

from edgevit_runtimes.devices.tree import Tree

# (implementer, part) of /proc/cpuinfo, as in the kernel's arch/arm64/include/asm/cputype.h.
_CORES = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd83"): "Neoverse-V3AE",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}
# What matters for int8 and half precision: dot products, int8 matrices, FP16 and BF16 arithmetic.
_WANTED_FEATURES = ("asimddp", "i8mm", "asimdhp", "bf16", "sve", "sve2")


def processor(tree: Tree) -> str | None:
    """The names of the core types, such as ``Cortex-A78AE``, largest clusters first."""
    counts: dict[str, int] = {}
    implementer = ""
    for line in (tree.text("proc/cpuinfo") or "").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "CPU implementer":
            implementer = value.lower()
        elif key == "CPU part":
            part = value.lower()
            name = _CORES.get((implementer, part), f"arm64 core {implementer}/{part}")
            counts[name] = counts.get(name, 0) + 1
    return " + ".join(sorted(counts, key=lambda name: -counts[name])) or None


def instruction_sets(tree: Tree) -> tuple[str, ...]:
    features = tree.fields("proc/cpuinfo").get("Features", "").split()
    return tuple(feature for feature in _WANTED_FEATURES if feature in features)

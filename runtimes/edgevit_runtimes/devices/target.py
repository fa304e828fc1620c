"""Which kind of quantized model this machine wants."""

from __future__ import annotations

import platform
from pathlib import Path

from edgevit_runtimes.devices import x86

NATIVE_TARGET = "native"  # the engine of edgevit itself, on any processor
_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}


def this_target(root: Path = Path("/"), machine: str | None = None) -> str:
    """A target's name, as in the bundle's manifest.

    Args:
        root: of the recorded tree of another machine. machine: as ``platform.machine()`` says.
    """
    if (machine or platform.machine()) in ("aarch64", "arm64"):
        return "onnxruntime-arm"
    has_dot_products = _DOT_PRODUCTS & set(x86.describe(root).instruction_sets)
    return "onnxruntime-x86" if has_dot_products else "onnxruntime-x86-avx2"

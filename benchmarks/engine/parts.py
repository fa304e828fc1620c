"""Where the native engine's time goes, and how many products a second each part computes."""

from __future__ import annotations

import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle.bundle import Bundle
from edgevit.inference.runner import profiling
from edgevit_runtimes.backends.native.native_runner import NativeRunner

_RUNS = 300
_HEADER, _RECORD = 64, 128
_CONV, _DEPTHWISE = 2, 3  # kinds of docs/native.md


def by_part(bundle: Path) -> list[dict[str, Any]]:
    """Medians over 300 pictures, by kind of operation; products only where there are some."""
    opened = Bundle.open(bundle)
    file = opened.variant("native-int8")
    with profiling():
        runner = NativeRunner(file)
        picture = np.ascontiguousarray(opened.reference().images[:1])
        for _ in range(_RUNS):
            runner.infer({"image": picture})
        times = runner.layer_times()
        runner.close()
    spent: dict[str, float] = defaultdict(float)
    products: dict[str, int] = defaultdict(int)
    for layer, macs in zip(times, _products(file.read_bytes()), strict=True):
        spent[layer.op] += layer.microseconds
        products[layer.op] += macs
    whole = sum(spent.values())
    return [
        {
            "part": part,
            "microseconds": round(microseconds, 1),
            "share_percent": round(100 * microseconds / whole, 1),
            "macs": products[part],
            "work": f"{products[part] / microseconds / 1000:.0f}" if products[part] else "",
        }
        for part, microseconds in sorted(spent.items(), key=lambda item: -item[1])
    ]


def _products(file: bytes) -> list[int]:
    """Multiply-accumulates of every operation, from the sizes in the file."""
    (count,) = struct.unpack_from("<I", file, 28)
    found = []
    for place in range(count):
        kind, _, *arguments = struct.unpack_from("<32I", file, _HEADER + place * _RECORD)
        channels, _, out_height, out_width, outputs, high, wide = arguments[4:11]
        places = out_height * out_width * high * wide
        macs = {_CONV: places * channels * outputs, _DEPTHWISE: places * channels}
        found.append(macs.get(kind, 0))
    return found

"""Latency of models on one core, interleaved; ratios against the first.

    python benchmarks/latency.py                       # lla_tiny against those below
    python benchmarks/latency.py a.edgevit b.edgevit   # any bundles
    python benchmarks/latency.py a.edgevit b.edgevit --variant onnx-int8-openvino

Input: frames of the model's size, uint8; output: logits; superpixels included. Blocks of 50 after
10 discarded calls, and beside them blocks of 1, where each model finds the other's weights in the
caches.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle
from edgevit.common.console import print_json, print_table
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends.open_model import open_variant
from edgevit_runtimes.bench.interleave import interleave, pin_to_one_core
from edgevit_runtimes.devices import x86

_AGAINST = ("mobilenet_v3_small", "lla_tiny_strips", "vit_tiny")
BLOCK, DISCARD, ROUNDS = 50, 10, 20
ROUNDS_OF_ONE = 500


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        paths = arguments.bundles or [
            PREBUILT_BUNDLE,
            *(_export(model, Path(scratch)) for model in _AGAINST),
        ]
        core = pin_to_one_core()
        bundles = [Bundle.open(path) for path in paths]
        functions = [inference(bundle, arguments.variant) for bundle in bundles]
        blocks = interleave(functions, BLOCK, arguments.rounds, DISCARD)
        singles = interleave(functions, 1, ROUNDS_OF_ONE, discard=0)
    rows: list[dict[str, Any]] = []
    for i, bundle in enumerate(bundles):
        middle, low, high = blocks.ratio(i, 0)
        rows.append(
            {
                "model": bundle.manifest.model.name,
                "latency_ms_p50": round(blocks.median_ms(i), 4),
                "samples": blocks.samples,
                "times_the_first": round(middle, 2),
                "times_the_first_quartiles": [round(low, 2), round(high, 2)],
                "latency_ms_p50_blocks_of_1": round(singles.median_ms(i), 4),
                "times_the_first_blocks_of_1": round(singles.ratio(i, 0)[0], 2),
            }
        )
    machine = x86.describe()
    conditions = {
        "processor": machine.processor,
        "core": core,
        "threads": 1,
        "variant": arguments.variant,
        "runtime": _runtime(bundles[0], arguments.variant),
        "block": BLOCK,
        "discarded_before_a_block": DISCARD,
    }
    if arguments.json:
        print_json({"rows": rows, "conditions": conditions})
        return
    _print(rows, conditions)


def _print(rows: list[dict[str, Any]], conditions: dict[str, Any]) -> None:
    table = [
        (
            row["model"],
            f"{row['latency_ms_p50']:.3f}",
            str(row["samples"]),
            f"{row['times_the_first']:.2f}",
            "{} to {}".format(*row["times_the_first_quartiles"]),
            f"{row['latency_ms_p50_blocks_of_1']:.3f}",
            f"{row['times_the_first_blocks_of_1']:.2f}",
        )
        for row in rows
    ]
    columns = (
        "model",
        "p50 ms",
        "samples",
        "ratio",
        "quartiles",
        "p50 ms, blocks of 1",
        "ratio of 1",
    )
    title = "{variant}, one core of {processor}, {runtime}".format(**conditions)
    print_table(title, columns, table, numeric=columns[1:])


def _runtime(bundle: Bundle, variant: str) -> str:
    name = bundle.manifest.variants[variant].runtime
    return f"{name} {version(name)}"


def inference(bundle: Bundle, variant: str = FLOAT_VARIANT) -> Callable[[], object]:
    """A function that answers the next of the bundle's reference frames."""
    runner = open_variant(bundle, variant, threads=1)
    pictures = bundle.reference().images
    feeds = itertools.cycle([{"image": picture[None].copy()} for picture in pictures])
    return lambda: runner.infer(next(feeds))


def _export(model: str, folder: Path) -> Path:
    """Exports in another process, so that torch is not in this one."""
    target = folder / f"{model}.edgevit"
    options = ["--model", model, "--output", str(target), "--json"]
    command = [sys.executable, "-m", "edgevit", "export", *options]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    return Path(json.loads(finished.stdout)["bundle"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("bundles", nargs="*", type=Path, help="bundles with batch 1")
    parser.add_argument("--variant", default=FLOAT_VARIANT, help="of every bundle")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

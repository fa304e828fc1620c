"""The native engine against other runtimes and models: latency, memory, start, work by part.

    python benchmarks/native.py              # all; most of the time goes into making bundles
    python benchmarks/native.py --keep DIR   # keeps the bundles there, and uses them again
    python benchmarks/native.py --json

Latency is from uint8 pixels of the model's size to logits, superpixels included, on one core and
one thread. All contestants are measured in turn: in blocks of 32 calls after 5 discarded ones
("hot"), and as a camera would find them, each call after 33 ms of sleep and with emptied caches
("cold"). Ratios are medians over the rounds. MobileNetV3-Small and ViT-Tiny are those of their
papers, at 224 pixels. A form that does not answer as its float model is no contestant.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle.bundle import Bundle
from edgevit.common.console import print_json, print_table
from edgevit_runtimes.backends.native.native_library import instruction_sets
from edgevit_runtimes.backends.open_model import open_variant
from edgevit_runtimes.bench.interleave import Interleaved, interleave, pin_to_one_core
from edgevit_runtimes.devices import x86
from engine.made_bundles import made_bundle
from engine.parts import by_part
from engine.processes import memory_and_start

OURS = ("lla_tiny", "native-int8")
MODELS = ("lla_tiny", "mobilenet_v3_small", "vit_tiny")
BLOCK, DISCARD = 32, 5
COLD_CALLS_A_ROUND = 5
PAUSE_SECONDS = 0.033
_CACHES = np.zeros(64 << 20, np.uint8)  # more than the caches of one core hold


@dataclass(frozen=True)
class Contestant:
    """A variant of a model's bundle, opened: ``infer`` answers the next picture."""

    model: str
    variant: str
    infer: Callable[[], object]


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        bundles = {model: made_bundle(model, folder) for model in MODELS}
        results = measured(bundles, arguments.rounds)
        results["parts"] = by_part(bundles["lla_tiny"])
        results["processes"] = memory_and_start(bundles["lla_tiny"], folder)
    if arguments.json:
        print_json(results)
    else:
        _print(results)


def measured(bundles: Mapping[str, Path], rounds: int) -> dict[str, Any]:
    """Latencies of all variants that run on this machine, and ratios to the engine's INT8."""
    core = pin_to_one_core()
    contestants = list(_contestants(bundles))
    functions = [contestant.infer for contestant in contestants]
    hot = interleave(functions, BLOCK, rounds, DISCARD)
    cold = _cold(functions, COLD_CALLS_A_ROUND * rounds)
    ours = [(c.model, c.variant) for c in contestants].index(OURS)
    rows = [
        {
            "model": contestant.model,
            "variant": contestant.variant,
            **_times("hot", hot, i, ours),
            **_times("cold", cold, i, ours),
        }
        for i, contestant in enumerate(contestants)
    ]
    conditions = {
        "processor": x86.describe().processor,
        "core": core,
        "instruction_set": next(name for name, here in instruction_sets().items() if here),
        "rounds": rounds,
        "block": BLOCK,
        "samples_hot": hot.samples,
        "samples_cold": cold.samples,
    }
    return {"rows": rows, "conditions": conditions}


def _times(kind: str, timed: Interleaved, i: int, ours: int) -> dict[str, Any]:
    middle, low, high = timed.ratio(i, ours)
    return {
        f"{kind}_ms_p50": round(timed.median_ms(i), 4),
        f"{kind}_ratio": round(middle, 2),
        f"{kind}_ratio_quartiles": [round(low, 2), round(high, 2)],
    }


def _contestants(bundles: Mapping[str, Path]) -> Iterator[Contestant]:
    """Every form of every model, but those that nothing measures: engines without their GPU."""
    for model, path in bundles.items():
        bundle = Bundle.open(path)
        for name, variant in bundle.manifest.variants.items():
            if variant.runtime in ("openvino", "native") and variant.build is None:
                continue  # what its compiled form was made from
            if variant.runtime == "tensorrt" or variant.precision == "float16":
                continue
            yield Contestant(model, name, _inference(bundle, name))


def _inference(bundle: Bundle, variant: str) -> Callable[[], object]:
    runner = open_variant(bundle, variant, threads=1)
    pictures = bundle.reference().images
    feeds = itertools.cycle([{"image": picture[None].copy()} for picture in pictures])
    return lambda: runner.infer(next(feeds))


def _cold(functions: Sequence[Callable[[], object]], rounds: int) -> Interleaved:
    """One call of each in turn, after what a camera's pause leaves.

    That is another program's data in the caches, and a core that slept.
    """
    times_ms = np.empty((rounds, len(functions)))
    for round_number in range(rounds):
        for place, infer in enumerate(functions):
            time.sleep(PAUSE_SECONDS)
            np.add(_CACHES, 1, out=_CACHES)
            started = time.perf_counter_ns()
            infer()
            times_ms[round_number, place] = (time.perf_counter_ns() - started) / 1e6
    return Interleaved(times_ms, rounds)


def _print(results: Mapping[str, Any]) -> None:
    columns = ("model", "variant", "hot ms", "ratio", "quartiles", "cold ms", "ratio, cold")
    table = [
        (
            row["model"],
            row["variant"],
            f"{row['hot_ms_p50']:.3f}",
            f"{row['hot_ratio']:.2f}",
            "{} to {}".format(*row["hot_ratio_quartiles"]),
            f"{row['cold_ms_p50']:.3f}",
            f"{row['cold_ratio']:.2f}",
        )
        for row in results["rows"]
    ]
    title = "One core of {processor}, {instruction_set}; ratios to lla_tiny native-int8"
    print_table(title.format(**results["conditions"]), columns, table, numeric=columns[2:])
    parts = [
        (part["part"], f"{part['microseconds']:.0f}", f"{part['share_percent']:.0f}", part["work"])
        for part in results["parts"]
    ]
    print_table(
        "lla_tiny native-int8 by part", ("part", "us", "%", "GMAC/s"), parts, numeric=("us", "%")
    )
    print_table("Processes", ("measured", "value"), [*results["processes"].items()])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--keep", type=Path, help="a folder for the bundles")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

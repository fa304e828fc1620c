"""Whether ``edgevit compile --target auto`` chooses well: its choice against all, measured again.

    python benchmarks/auto_choice.py out/lla_tiny.edgevit --repeat 3

Works on a copy. Every repeat lets it choose anew, then measures every candidate that passed once
more, interleaved, in a fresh process: how much slower the choice is than the best, and how much
faster than plain ONNX Runtime in float32.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.console import print_json, print_table
from edgevit.common.progress import progress_for_stderr
from edgevit.workflows.compile import SelectionResult, compile_bundle
from edgevit_runtimes.bench import measure


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(arguments.bundle, Path(scratch) / "copy.edgevit"))
        rows = [_repeat(copy, arguments.threads) for _ in range(arguments.repeat)]
    if arguments.json:
        print_json(rows)
    else:
        _print(rows)


def _repeat(path: Path, threads: int) -> dict[str, Any]:
    bundle = Bundle.open(path)
    selected = compile_bundle(
        bundle, "auto", keep_all=True, threads=threads, progress=progress_for_stderr()
    )
    assert isinstance(selected, SelectionResult)
    bundle, choice = selected.bundle, selected.choice
    passed = [row["variant"] for row in choice.table if row.get("passes")]
    names = ["float", *(name for name in passed if name != "float")]
    again = measure.side_by_side(bundle, names, threads)
    faster = dict(zip(names, again["times_faster"], strict=True))
    best = max(faster, key=lambda name: float(faster[name]))
    return {
        "chosen": choice.variant,
        "best_when_measured_again": best,
        "chosen_over_best": round(faster[best] / faster[choice.variant], 4),
        "chosen_times_faster_than_plain": faster[choice.variant],
        "times_faster": faster,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    columns = ("chosen", "best again", "time over best", "x plain fp32")
    table = [
        (
            row["chosen"],
            row["best_when_measured_again"],
            f"{row['chosen_over_best']:.3f}",
            f"{row['chosen_times_faster_than_plain']:.2f}",
        )
        for row in rows
    ]
    print_table("edgevit compile --target auto", columns, table, numeric=columns[2:])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="a quantized bundle; it stays as it is")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

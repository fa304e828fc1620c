"""What more costs: latency, training, sets and memory against size, threads and processes.

    python benchmarks/scaling/scaling.py                       # everything
    python benchmarks/scaling/scaling.py latency memory        # some
    python benchmarks/scaling/scaling.py ray --processes 1 2 4 --pictures 20000
    python benchmarks/scaling/scaling.py latency --rows benchmarks/scaling/rows    # and keep them
    python benchmarks/scaling/scaling.py --draw docs/scaling.svg --rows benchmarks/scaling/rows

A curve is a list of points; each is the median of its repetitions, with its quartiles. ``--draw``
measures nothing: it draws what ``--rows`` kept.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cost_plots
import curve_files
import latency_curves
import ray_curves
import work_curves
from cost_curve import Curve

from edgevit.common.console import print_json, print_table
from edgevit.common.progress import progress_for_stderr
from edgevit_runtimes.devices import x86

PARTS = ("latency", "training", "ray", "memory")


def main() -> None:
    arguments = _arguments()
    if arguments.draw:
        cost_plots.draw(curve_files.read(arguments.rows, PARTS), arguments.draw)
        return
    progress = progress_for_stderr()
    found: dict[str, Any] = {}
    for part in arguments.parts or PARTS:
        conditions = _conditions()
        with progress.working(part), tempfile.TemporaryDirectory() as scratch:
            curves = _measured(part, arguments.scratch or Path(scratch), arguments)
        if arguments.rows:
            curve_files.keep(arguments.rows, part, curves, conditions)
        found[part] = {"curves": [asdict(curve) for curve in curves], "conditions": conditions}
        if not arguments.json:
            _print(curves)
            print(conditions)
    if arguments.json:
        print_json(found)


def _conditions() -> dict[str, Any]:
    """Before a part begins, so that the load is that of others."""
    return {
        "processor": x86.describe().processor,
        "cores": len(os.sched_getaffinity(0)),
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }


def _print(curves: Sequence[Curve]) -> None:
    for curve in curves:
        rows = [
            (f"{p.x:g}", f"{p.median:.4g}", f"{p.low:.4g}", f"{p.high:.4g}") for p in curve.points
        ]
        print_table(curve.title, (curve.x, curve.y, "lower quartile", "upper quartile"), rows)


def _measured(part: str, scratch: Path, arguments: argparse.Namespace) -> list[Curve]:
    if part == "latency":
        return latency_curves.measure(scratch, arguments.repetitions)
    if part == "training":
        return [work_curves.training(scratch, arguments.processes)]
    if part == "ray":
        return ray_curves.measure(arguments.processes, arguments.pictures)
    return [work_curves.memory(scratch)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all"
    )
    parser.add_argument("--repetitions", type=int, default=50, help="of an inference")
    parser.add_argument(
        "--processes", type=int, nargs="+", default=[1, len(os.sched_getaffinity(0))]
    )
    parser.add_argument("--pictures", type=int, default=4000, help="of the set that Ray answers")
    parser.add_argument("--scratch", type=Path, help="folder for exported models, which stay there")
    parser.add_argument("--rows", type=Path, help="folder to keep the curves in, a file a part")
    parser.add_argument("--draw", type=Path, help="draw kept curves into this .svg, .png or .pdf")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if arguments.draw and not arguments.rows:
        parser.error("--draw needs --rows FOLDER, the curves that were kept")
    return arguments


if __name__ == "__main__":
    main()

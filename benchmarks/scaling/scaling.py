"""What more costs: latency, training, sets and memory against size, threads and processes.

    python benchmarks/scaling/scaling.py                       # everything
    python benchmarks/scaling/scaling.py latency memory        # some
    python benchmarks/scaling/scaling.py ray --processes 1 2 4 --pictures 20000
    python benchmarks/scaling/scaling.py --plot docs/scaling.svg --json

A curve is a list of points; each is the median of its repetitions, with its quartiles.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import cost_plots
import latency_curves
import work_curves
from cost_curve import Curve

from edgevit.common.console import print_json, print_table
from edgevit.common.progress import progress_for_stderr
from edgevit_runtimes.devices import x86

PARTS = ("latency", "training", "ray", "memory")


def main() -> None:
    arguments = _arguments()
    progress = progress_for_stderr()
    curves: list[Curve] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for part in arguments.parts:
            with progress.working(part):
                curves += _measured(part, scratch, arguments)
    conditions = {
        "processor": x86.describe().processor,
        "cores": len(os.sched_getaffinity(0)),
        "load_average_1_min": round(os.getloadavg()[0], 2),
    }
    if arguments.plot:
        cost_plots.draw(curves, arguments.plot)
    if arguments.json:
        print_json({"curves": [asdict(curve) for curve in curves], "conditions": conditions})
        return
    for curve in curves:
        rows = [
            (f"{p.x:g}", f"{p.median:.4g}", f"{p.low:.4g}", f"{p.high:.4g}") for p in curve.points
        ]
        print_table(curve.title, (curve.x, curve.y, "lower quartile", "upper quartile"), rows)
    print(conditions)


def _measured(part: str, scratch: Path, arguments: argparse.Namespace) -> list[Curve]:
    if part == "latency":
        return latency_curves.measure(scratch, arguments.repetitions)
    if part == "training":
        return [work_curves.training(scratch, arguments.processes)]
    if part == "ray":
        return [work_curves.ray(scratch, arguments.processes, arguments.pictures)]
    return [work_curves.memory(scratch)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--repetitions", type=int, default=50, help="of an inference")
    parser.add_argument(
        "--processes", type=int, nargs="+", default=[1, len(os.sched_getaffinity(0))]
    )
    parser.add_argument("--pictures", type=int, default=4000, help="of the set that Ray answers")
    parser.add_argument("--plot", type=Path, help="draw the curves into this .svg, .png or .pdf")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()

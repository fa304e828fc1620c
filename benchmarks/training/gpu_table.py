"""Prints what ``train_zoo_gpu.py`` measured as a table, the seeds of an A/B together.

    python benchmarks/training/gpu_table.py [ROWS.jsonl ...]

By default the rows that the repository keeps, in ``benchmarks/training/rows``: a file for every
time that runs were trained, which may have recipes of their own. The interval of one run is
Wilson's over its validation pictures; of several seeds the lowest and the highest are shown.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from edgevit.inference.intervals import wilson

KEPT = Path(__file__).with_name("rows")
_HEADS = ("run", "device", "px", "epochs", "seconds", "seeds", "top-1 %")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", type=Path)
    for file in parser.parse_args().rows or sorted(KEPT.glob("*.jsonl")):
        print("\n".join([file.name, "", *table(_read(file)), ""]))


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A Markdown table, one line for all seeds of a run."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["run"].partition(".seed")[0]].append(row)
    lines = [f"| {' | '.join(_HEADS)} |", "|---" * len(_HEADS) + "|"]
    return lines + [f"| {' | '.join(_cells(name, group))} |" for name, group in groups.items()]


def _cells(name: str, group: list[dict[str, Any]]) -> tuple[str, ...]:
    first = group[0]
    sizes = sorted({first["train_px"], first["answer_px"]})
    return (
        f"`{name}`",
        first["device"].removeprefix("NVIDIA "),
        " to ".join(map(str, sizes)),
        str(first["recipe"]["epochs"]),
        f"{sum(row['seconds'] for row in group) / len(group):.0f}",
        str(len(group)),
        _accuracy([row["val_top1"] for row in group], first["val_pictures"]),
    )


def _accuracy(shares: list[float], pictures: int) -> str:
    mean = sum(shares) / len(shares)
    low, high = min(shares), max(shares)
    if len(shares) == 1:
        low, high = wilson(round(mean * pictures), pictures)
    return f"{100 * mean:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()

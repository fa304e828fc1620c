"""Two installed edgevits, started in turn on one picture: how long each takes to answer.

    git worktree add --detach /tmp/old COMMIT && make -C /tmp/old .venv/.ready
    python benchmarks/overhead/cold_start.py /tmp/old/.venv/bin/edgevit .venv/bin/edgevit photo.png

Both run ``edgevit run PICTURE`` with their own default bundle, their output in a pipe. The clock
counts from before the process is started until it has ended, as for who waits for the answer;
processor time, user and system, depends less on what else the machine does. Each is started twice
before, so that Python's bytecode and the hashes of the bundle are kept, and files are in memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from edgevit.common.console import print_json, print_table

_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"  # with it every start compiles edgevit anew
_UNTIMED = 2
_FIGURES = ("wall_ms", "cpu_ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="an edgevit executable")
    parser.add_argument("after", type=Path, help="another")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = compare(given.before, given.after, given.picture, given.starts)
    if given.json:
        print_json(found)
        return
    rows = [
        (
            name,
            f"{found['before'][name]:.1f}",
            f"{found['after'][name]:.1f}",
            "{:.3f} ({:.3f} to {:.3f})".format(*found["ratio"][name]),
        )
        for name in _FIGURES
    ]
    columns = ("median", "before", "after", "after / before (quartiles)")
    print_table(f"{found['starts']} starts each, in turn", columns, rows)


def compare(before: Path, after: Path, picture: Path, starts: int) -> dict[str, Any]:
    """Medians of both, and of their ratio start by start with its quartiles."""
    executables = (before, after)
    for executable in executables * _UNTIMED:
        started_ms(executable, picture)
    pairs = [[started_ms(executable, picture) for executable in executables] for _ in range(starts)]
    found: dict[str, Any] = {"starts": starts, "before": {}, "after": {}, "ratio": {}}
    for place, name in enumerate(_FIGURES):
        ratios = [one[1][place] / one[0][place] for one in pairs]
        low, _, high = quantiles(ratios, n=4)
        found["ratio"][name] = [median(ratios), low, high]
        for side, words in enumerate(("before", "after")):
            found[words][name] = median(one[side][place] for one in pairs)
    return found


def started_ms(executable: Path, picture: Path) -> tuple[float, float]:
    """Milliseconds of one process: by the clock, and of a processor."""
    environment = {key: value for key, value in os.environ.items() if key != _NO_BYTECODE}
    busy_s, started_s = _children_s(), time.perf_counter()
    command = [str(executable), "run", str(picture)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall_s = time.perf_counter() - started_s
    return 1e3 * wall_s, 1e3 * (_children_s() - busy_s)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()

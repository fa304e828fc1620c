"""How long a bundle takes to open and check: files hashed, and with their hashes remembered.

    edgevit export --model lla_base_strips --output out/lla_base_strips.edgevit
    python benchmarks/bundle_opening.py out/lla_base_strips.edgevit

Both ask for every file that the manifest names. Hashes are remembered in the user's cache folder
(edgevit/common/storage/hashes.py); a file changed within the last two seconds is hashed again.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from edgevit.bundle.bundle import Bundle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    given = parser.parse_args()
    size = sum(file.stat().st_size for file in given.bundle.iterdir()) / 2**20
    open_all(given.bundle, check_hashes=False)  # so that the hashes are remembered
    for name, check_hashes in (("remembered", False), ("hashed", True)):
        times = [open_all(given.bundle, check_hashes) for _ in range(given.repeats)]
        print(
            f"{size:.1f} MiB, {name:10} p50 {1e3 * statistics.median(times):.2f} ms, "
            f"max {1e3 * max(times):.2f} ms, {given.repeats} samples"
        )


def open_all(path: Path, check_hashes: bool) -> float:
    """Seconds to open the bundle and check each of its files."""
    started = time.perf_counter()
    bundle = Bundle.open(path, check_hashes=check_hashes)
    for name in bundle.manifest.files:
        bundle.file(name)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

"""What a bench over SSH costs beside the run itself.

    python benchmarks/overhead/remote_overhead.py user@address [--folder FOLDER]

Measures the same bench on this machine and over SSH, twice each; the second over SSH finds the
bundle there. It says most where the device is this machine itself (a server on loopback).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.console import print_json
from edgevit.common.progress import SilentProgress
from edgevit.results.bench_result import BenchResult
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.bench import measure
from edgevit_runtimes.bench.bench_options import BenchOptions
from edgevit_runtimes.remote.device_address import DEFAULT_FOLDER, Device
from edgevit_runtimes.remote.runs import Follower, bench_there
from edgevit_runtimes.remote.ssh import Ssh

OPTIONS = BenchOptions(samples=300, frames=60, max_seconds=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("host")
    parser.add_argument("--folder", default=DEFAULT_FOLDER)
    arguments = parser.parse_args()
    bundle = Bundle.open(PREBUILT_BUNDLE)
    device = Device(arguments.host, arguments.folder)
    here = [_seconds(lambda: measure.bench(bundle, OPTIONS, SilentProgress())) for _ in range(2)]
    there = [_seconds(lambda: _there(device, bundle)) for _ in range(2)]
    print_json(
        {
            "here_s": here,
            "there_s": there,
            "added_first_s": round(there[0] - min(here), 2),
            "added_when_the_bundle_is_there_s": round(there[1] - min(here), 2),
        }
    )


def _there(device: Device, bundle: Bundle) -> BenchResult:
    with Ssh(device) as ssh:
        return bench_there(ssh, bundle, OPTIONS, "auto", Follower(SilentProgress()))


def _seconds(run: Any) -> float:
    started = time.perf_counter()
    run()
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()

"""A bench on several devices at once: one table, one document, one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import EdgevitError
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.results.bench_result import BenchResult
from edgevit.results.documents.fleet_document import FLEET_KIND
from edgevit.workflows.remote.fleet import (
    failure_document,
    failure_lines,
    on_all,
    require_all,
    require_hosts,
)

# Names of machines and what disturbed them are lines of their own: a table of 100 columns is read.
_COLUMNS = ("device", "variant", "p50 ms", "p90 ms", "img/s", "cold ms", "MiB")


@dataclass(frozen=True)
class FleetBenchResult(Result):
    """By device, as it was named: its result, or why there is none."""

    model: str
    devices: Mapping[str, BenchResult | EdgevitError]

    @property
    def results(self) -> dict[str, BenchResult]:
        """Of the devices on which the bench succeeded."""
        return {h: each for h, each in self.devices.items() if isinstance(each, BenchResult)}

    def require(self) -> None:
        """
        Raises:
            CheckFailedError: the bench failed on a device; names every one.
        """
        require_all(self.devices, "The bench")

    def to_dict(self) -> dict[str, Any]:
        devices = {
            host: each.to_dict() if isinstance(each, BenchResult) else failure_document(each)
            for host, each in self.devices.items()
        }
        return {"kind": FLEET_KIND, "model": self.model, "devices": devices}

    def sections(self) -> list[Section]:
        results = self.results
        rows = [_row(host, result) for host, result in results.items()]
        table = Table(f"{self.model} on {len(self.devices)} devices", _COLUMNS, rows, _COLUMNS[2:])
        kept = " ".join(quote(result.kept) for result in results.values() if result.kept)
        page = [f"one page of them: edgevit report {kept} -o fleet.html"] if kept else []
        lines = [line for host, result in results.items() for line in _lines(host, result)]
        measured: list[Section] = [table, *lines] if rows else []
        return [*measured, *failure_lines(self.devices), *page]


def bench_fleet(
    bundle: Bundle,
    hosts: Sequence[str],
    *,
    device: str = "auto",
    timeout_s: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> FleetBenchResult:
    """Measures a bundle on several devices at once; see :func:`edgevit.workflows.bench.bench`.

    Args:
        hosts: ``user@address``, or names of ``edgevit devices add``; each once.
        device: the kind of machine that each has to be, or ``auto``.
        timeout_s: give a device up after so long; None: as long as such a bench can take.
        options: how to measure, as of ``bench``: ``threads``, ``samples``, ``variant``, ...

    Returns:
        The result of every device, or its error.

    Raises:
        InputError: no device is given, or an option cannot be used.
    """
    from edgevit_runtimes.bench.bench_options import BenchOptions
    from edgevit_runtimes.remote.runs import Follower, bench_there
    from edgevit_runtimes.remote.ssh import connection

    require_hosts(hosts)
    how = BenchOptions(**options)

    def on_one(host: str, progress: Progress) -> BenchResult:
        with connection(host) as ssh:
            return bench_there(ssh, bundle, how, device, Follower(progress, timeout_s))

    found = on_all(hosts, on_one, progress or SilentProgress())
    return FleetBenchResult(bundle.manifest.model.name, found)


def _row(host: str, result: BenchResult) -> tuple[str, ...]:
    latency, memory = result.latency_ms, result.peak_memory_mib.steady
    return (
        host,
        result.model.variant,
        f"{latency.p50:.2f}",
        "-" if latency.p90 is None else f"{latency.p90:.2f}",
        f"{result.throughput_images_per_s:.1f}",
        f"{result.cold_start_ms.total:.0f}",
        "-" if memory is None else f"{memory:.0f}",
    )


def _lines(host: str, result: BenchResult) -> list[str]:
    machine = f"{host}: {result.device}"
    return [machine, *(f"{host}: DISTURBED: {reason}" for reason in result.disturbances)]

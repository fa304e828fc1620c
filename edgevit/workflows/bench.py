"""Latency, throughput, cold start, memory and energy of a bundle, here or on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import CheckFailedError, InputError
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import Result
from edgevit.common.tables import Section, counted
from edgevit.common.workers import refuse_too_many_threads
from edgevit.results.bench_result import BenchResult, Comparison, read_result
from edgevit.results.bench_tables import comparison_table, results_table
from edgevit.results.compare import compare

if TYPE_CHECKING:
    from edgevit_runtimes.bench.bench_options import BenchOptions


@dataclass(frozen=True)
class ComparisonResult(Result):
    """Results by the names of their files, and the ratios of all but the first to the first."""

    names: tuple[str, ...]
    results: tuple[BenchResult, ...]
    comparisons: tuple[Comparison, ...]

    def to_dict(self) -> dict[str, Any]:
        others = zip(self.names[1:], self.comparisons, strict=True)
        return {"first": self.names[0], "others": [{**c.to_dict(), "result": n} for n, c in others]}

    def sections(self) -> list[Section]:
        others = zip(self.names[1:], self.comparisons, strict=True)
        return [
            results_table(self.results, self.names),
            *(comparison_table(f"{name}, over the first", found) for name, found in others),
        ]

    def require_no_slower(self, limit: float) -> None:
        """See :func:`require_no_slower`."""
        require_no_slower(self.comparisons, self.names[1:], limit)


def bench(
    bundle: Bundle,
    *,
    threads: int = 1,
    batch: int = 1,
    samples: int = 1000,
    warmup: int = 50,
    fps: float = 30.0,
    frames: int = 150,
    max_seconds: float = 60.0,
    variant: str | None = None,
    cores: Sequence[int] | None = None,
    arena: bool = True,
    host: str | None = None,
    device: str = "auto",
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Measures a bundle; every figure comes from a fresh process without torch.

    Args:
        threads: threads inside an operator. batch: pictures an inference.
        samples: inferences of the hot run. warmup: inferences discarded first, at least.
        fps, frames: frame rate and length of the camera-paced run.
        max_seconds: ends the hot run early.
        variant: by default the one that is chosen for this machine.
        cores: processors to stay on; by default all that there are.
        arena: ONNX Runtime: keep freed memory for the next inference.
        host: measure over SSH: ``user@address``, or a name of ``edgevit devices add``.
        device: the kind of machine that it has to be, ``x86`` or ``jetson``, or ``auto``.
        timeout_s: give a device up after so long; None: as long as such a bench can take.

    Raises:
        InputError: an option does not fit the bundle or the machine.
        CheckFailedError: a measuring process failed.
        DeviceError: the device cannot be reached, or refuses.
    """
    from edgevit_runtimes.bench.bench_options import BenchOptions

    options = BenchOptions(
        threads=threads,
        batch=batch,
        samples=samples,
        warmup=warmup,
        fps=fps,
        frames=frames,
        max_seconds=max_seconds,
        variant=variant,
        cores=None if cores is None else tuple(cores),
        arena=arena,
    )
    where = _Where(host, device, timeout_s)
    return _measured(bundle, options, where, progress or SilentProgress())


def repeat(
    result: Path | str,
    bundle: Bundle | None = None,
    *,
    host: str | None = None,
    device: str = "auto",
    timeout_s: float | None = None,
    progress: Progress | None = None,
) -> BenchResult:
    """Measures what a former result measured once more, with its options, and compares.

    Args:
        bundle: must hold the same model file; by default the bundle that the result names.
        host, device, timeout_s: as of :func:`bench`.

    Raises:
        InputError: the result cannot be repeated, or the model is not the same.
    """
    former = read_result(Path(result))
    options = _options_of(former)
    bundle = _same_model(former, bundle)
    where = _Where(host, device, timeout_s)
    repeated = _measured(bundle, options, where, progress or SilentProgress())
    return repeated.repeating(compare(former, repeated, str(result)))


def resume(
    run: str, *, timeout_s: float | None = None, progress: Progress | None = None
) -> BenchResult:
    """Picks up a run on a device whose connection was lost.

    Args:
        timeout_s: give it up after so long; None: as when it was begun.

    Raises:
        InputError: no such run is pending. DeviceError: the device cannot be reached.
    """
    from edgevit_runtimes.remote.device_address import Device
    from edgevit_runtimes.remote.pending import read_pending
    from edgevit_runtimes.remote.runs import follow
    from edgevit_runtimes.remote.ssh import Ssh

    begun = read_pending(run)
    pending = begun if timeout_s is None else replace(begun, timeout_s=timeout_s)
    with Ssh(Device(pending.host, pending.folder)) as ssh:
        return follow(ssh, pending, progress or SilentProgress())


def compare_results(paths: Sequence[Path | str]) -> ComparisonResult:
    """Compares two or more results; measures nothing.

    Raises:
        InputError: fewer than two, or a file that is no result.
    """
    if len(paths) < 2:
        raise InputError(
            f"--compare got {counted(len(paths), 'result')}; it needs two or more: "
            "edgevit bench --compare before.json after.json"
        )
    results = [read_result(Path(path)) for path in paths]
    comparisons = tuple(compare(results[0], other) for other in results[1:])
    return ComparisonResult(tuple(map(str, paths)), tuple(results), comparisons)


def require_no_slower(
    comparisons: Sequence[Comparison], names: Sequence[str], limit: float
) -> None:
    """Fails where p50 rose by more than a limit with its whole interval: noise breaks no build.

    Args:
        limit: 0.05 is 5 %.

    Raises:
        CheckFailedError: names what is slower.
    """
    slower = [
        f"{name}: p50 times {c.latency_p50.ratio:.3f} "
        f"({c.latency_p50.interval_95[0]:.3f} to {c.latency_p50.interval_95[1]:.3f})"
        for name, c in zip(names, comparisons, strict=True)
        if c.latency_p50.interval_95[0] > 1 + limit
    ]
    if slower:
        raise CheckFailedError(f"Slower by more than {100 * limit:g} %: {'; '.join(slower)}.")


@dataclass(frozen=True)
class _Where:
    """The machine that is measured; see :func:`bench`."""

    host: str | None
    device: str
    timeout_s: float | None


def _measured(
    bundle: Bundle, options: BenchOptions, where: _Where, progress: Progress
) -> BenchResult:
    if where.host is not None:
        from edgevit_runtimes.remote.runs import Follower, bench_there
        from edgevit_runtimes.remote.ssh import connection

        with connection(where.host) as ssh:
            follower = Follower(progress, where.timeout_s)
            return bench_there(ssh, bundle, options, where.device, follower)
    from edgevit_runtimes.bench import measure

    _refuse_other_device(where.device)
    return measure.bench(bundle, options, progress)


def _refuse_other_device(device: str) -> None:
    from edgevit_runtimes.devices.machine import describe

    here = describe()
    if device not in ("auto", here.kind):
        raise InputError(
            f"--machine {device} was asked for, but this machine is {here.kind} "
            f"({here.architecture}). Measure another one with --host user@address, or this one "
            "with --machine auto."
        )


# What edgevit 0.1 could be asked for: superpixels by native kernels for ONNX Runtime.
_FORMER_OPTIONS = ("native",)


def _options_of(former: BenchResult) -> BenchOptions:
    """Of a result to repeat, which may hold anything."""
    from edgevit.common.schema import typed
    from edgevit_runtimes.bench.bench_options import BenchOptions

    known = {k: v for k, v in former.options.items() if k not in _FORMER_OPTIONS}
    try:
        options = typed(BenchOptions, known, where="options")
        refuse_too_many_threads(options.threads)
    except (ValueError, InputError) as error:
        reason = str(error).rstrip(".")
        raise InputError(f"The result cannot be repeated: {reason}.") from error
    return options


def _same_model(former: BenchResult, bundle: Bundle | None) -> Bundle:
    """The bundle that was given, or the one of the result, if its model is still the same."""
    model = former.model
    if bundle is None:
        named = Path(str(model.bundle))
        if not named.exists():
            raise InputError(
                f"The result was measured with {named}, which is not here. Give the bundle too: "
                "edgevit bench BUNDLE --repeat RESULT"
            )
        bundle = Bundle.open(named)
    if bundle.sha256(model.variant) != model.file_sha256:
        raise InputError(
            f"{bundle.path} holds another {model.variant} model than the result was measured "
            "with (its SHA-256 differs). Give the bundle that it was."
        )
    return bundle

"""``edgevit bench``: latency, throughput, cold start, memory and energy, here or on a device."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.options import (
    ArenaOption,
    CheckHashesOption,
    CoresOption,
    FleetOption,
    HostsOption,
    JsonOption,
    ResultFileOption,
    ThreadsOption,
    TimeoutOption,
    VariantOption,
    core_numbers,
    open_bundle,
    refuse_timeout_here,
)
from edgevit.common.errors import InputError

if TYPE_CHECKING:
    from edgevit.common.result import Result
    from edgevit.results.bench_result import BenchResult


class Machine(str, Enum):
    """What is to be measured; any other machine is refused."""

    auto = "auto"
    x86 = "x86"
    jetson = "jetson"


_MEASURING_OPTIONS = (
    "threads",
    "batch",
    "samples",
    "warmup",
    "fps",
    "frames",
    "max_seconds",
    "variant",
    "cores",
    "arena",
)


def bench(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[BUNDLE]",
            help="A bundle folder (default: the prebuilt lla_tiny); results, with --compare.",
        ),
    ] = None,
    machine: Annotated[
        Machine, typer.Option(help="Kind of machine that is measured; another one is refused.")
    ] = Machine.auto,
    threads: ThreadsOption = 1,
    batch: Annotated[int, typer.Option(min=1, help="Batch size.")] = 1,
    samples: Annotated[int, typer.Option(min=1, help="Inferences of the back-to-back run.")] = 1000,
    warmup: Annotated[int, typer.Option(min=0, help="Minimum number of warm-up inferences.")] = 50,
    fps: Annotated[
        float, typer.Option(help="Frame rate of the run that is paced like a camera.")
    ] = 30.0,
    frames: Annotated[
        int, typer.Option(min=1, help="Number of frames of the run that is paced like a camera.")
    ] = 150,
    max_seconds: Annotated[
        float, typer.Option(help="Time limit of the back-to-back run, in seconds.")
    ] = 60.0,
    variant: VariantOption = None,
    cores: CoresOption = None,
    arena: ArenaOption = True,
    host: HostsOption = None,
    fleet: FleetOption = None,
    timeout: TimeoutOption = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Resume a run whose connection was lost.")
    ] = None,
    output: ResultFileOption = None,
    repeat: Annotated[
        Path | None,
        typer.Option(
            metavar="RESULT", help="Measure again with the options of this result, and compare."
        ),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare results instead of measuring.")
    ] = False,
    fail_if_slower: Annotated[
        str | None,
        typer.Option(
            metavar="5%",
            help="Exit with code 1 if p50 rose by more than this, with 95 % confidence.",
        ),
    ] = None,
    check_hashes: CheckHashesOption = False,
    json: JsonOption = False,
) -> None:
    """Measure a bundle: every figure in a fresh process, without torch. Or compare results."""
    from edgevit.common.console import show
    from edgevit.common.progress import progress_for_stderr
    from edgevit.common.storage.files import refuse_target
    from edgevit.workflows import bench as workflow
    from edgevit.workflows.remote.bench_fleet import FleetBenchResult, bench_fleet
    from edgevit_runtimes.remote.device_list import hosts_of

    limit = _limit(fail_if_slower)
    if compare:
        compared = workflow.compare_results(paths or [])
        show(compared, json)
        if limit is not None:
            compared.require_no_slower(limit)
        return
    if output is not None:
        refuse_target(output)
    _refuse_limit_alone(limit, repeat)
    progress = progress_for_stderr()
    if resume is not None:
        _keep_and_show(workflow.resume(resume, timeout_s=timeout, progress=progress), output, json)
        return
    path = _one_bundle(paths)
    hosts = hosts_of(host or (), fleet)
    is_fleet = fleet is not None or len(hosts) > 1
    if not hosts:
        refuse_timeout_here(timeout)
    where: dict[str, Any] = {"device": machine.value, "timeout_s": timeout, "progress": progress}
    one = hosts[0] if hosts else None
    if repeat is not None:
        _refuse_measuring_options(context, repeat, is_fleet)
        bundle = None if path is None else open_bundle(path, check_hashes)
        repeated = workflow.repeat(repeat, bundle, host=one, **where)
        _keep_and_show(repeated, output, json)
        _require_no_slower(repeated, repeat, limit)
        return
    how: dict[str, Any] = {
        "threads": threads,
        "batch": batch,
        "samples": samples,
        "warmup": warmup,
        "fps": fps,
        "frames": frames,
        "max_seconds": max_seconds,
        "variant": variant,
        "cores": core_numbers(cores),
        "arena": arena,
    }
    opened = open_bundle(path, check_hashes)
    result = (
        bench_fleet(opened, hosts, **where, **how)
        if is_fleet
        else workflow.bench(opened, host=one, **where, **how)
    )
    _keep_and_show(result, output, json)
    if isinstance(result, FleetBenchResult):
        result.require()


def _refuse_limit_alone(limit: float | None, repeat: Path | None) -> None:
    if limit is not None and repeat is None:
        raise InputError("--fail-if-slower needs results to compare: give --compare or --repeat.")


def _require_no_slower(result: BenchResult, former: Path, limit: float | None) -> None:
    from edgevit.workflows.bench import require_no_slower

    if limit is not None and result.repeats is not None:
        require_no_slower([result.repeats], [str(former)], limit)


def _keep_and_show(result: Result, output: Path | None, as_json: bool) -> None:
    from edgevit.common.console import show

    show(result, as_json, output)


def _refuse_measuring_options(context: typer.Context, result: Path, is_fleet: bool) -> None:
    """How a result to repeat was measured is its own, so nothing of that may be given."""
    if is_fleet:
        raise InputError("--repeat compares with one result; give one --host.")
    given = [
        f"--{name.replace('_', '-')}"
        for name in _MEASURING_OPTIONS
        if str(context.get_parameter_source(name)).endswith("COMMANDLINE")
    ]
    if given:
        raise InputError(
            f"--repeat takes how to measure from {result}; leave out {', '.join(given)}."
        )


def _one_bundle(paths: list[Path] | None) -> Path | None:
    if len(paths or []) > 1:
        raise InputError(f"Got {len(paths or [])} bundles; bench measures one at a time.")
    return paths[0] if paths else None


def _limit(text: str | None) -> float | None:
    """``5%`` or ``5`` is 0.05; ``0.05`` could be 5 % or 0.05 %, and is refused."""
    if text is None:
        return None
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 1000:
        raise InputError(f"--fail-if-slower got '{text}'; expected a percentage such as 5%.")
    if 0 < percent < 1 and not text.endswith("%"):
        raise InputError(
            f"--fail-if-slower got '{text}', which may be a share or a percentage. Give "
            f"{100 * percent:g}% or {percent:g}%."
        )
    return percent / 100

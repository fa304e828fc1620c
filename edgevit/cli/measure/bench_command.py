"""``edgevit bench``: latency, throughput, cold start, memory and energy, here or on a device."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.options import (
    ArenaOption,
    CoresOption,
    JsonOption,
    ThreadsOption,
    VariantOption,
    core_numbers,
    open_bundle,
    untrained_note,
)
from edgevit.common.errors import CheckFailedError, InputError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit_runtimes.bench.bench_options import BenchOptions


class Device(str, Enum):
    """What is to be measured; any other machine is refused."""

    auto = "auto"
    x86 = "x86"
    jetson = "jetson"


_HOW = (
    "threads",
    "batch",
    "samples",
    "warmup",
    "fps",
    "frames",
    "max_seconds",
    "variant",
    "native",
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
    device: Annotated[Device, typer.Option(help="The device to measure.")] = Device.auto,
    threads: ThreadsOption = 1,
    batch: Annotated[int, typer.Option(min=1, help="Pictures an inference.")] = 1,
    samples: Annotated[int, typer.Option(min=1, help="Inferences of the hot run.")] = 1000,
    warmup: Annotated[int, typer.Option(min=0, help="Inferences discarded first, at least.")] = 50,
    fps: Annotated[float, typer.Option(help="Frame rate of the camera-paced run.")] = 30.0,
    frames: Annotated[int, typer.Option(min=1, help="Frames of the camera-paced run.")] = 150,
    max_seconds: Annotated[float, typer.Option(help="Ends the hot run early.")] = 60.0,
    variant: VariantOption = None,
    native: Annotated[
        bool, typer.Option("--native/--body", help="Superpixels: built kernels, or the body.")
    ] = True,
    cores: CoresOption = None,
    arena: ArenaOption = True,
    host: Annotated[
        str | None,
        typer.Option(help="Measure over SSH: user@address, or a name of 'edgevit devices add'."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Pick up a run whose connection was lost.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Keep the result in this file.")] = None,
    repeat: Annotated[
        Path | None, typer.Option(metavar="RESULT", help="Measure the same again, and compare.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare results; measures nothing.")
    ] = False,
    fail_if_slower: Annotated[
        str | None,
        typer.Option(metavar="5%", help="Exit code 1 if p50 surely rose by more than this."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure a bundle: every figure in a fresh process, without torch. Or compare results."""
    limit = _share(fail_if_slower)
    if compare:
        _compare(paths or [], limit, json)
        return
    if output is not None:
        _refuse_target(output)
    if limit is not None and repeat is None:
        raise InputError("--fail-if-slower needs results to compare: give --compare or --repeat.")
    if resume is not None:
        _show(_resume(resume), None, output, json)
        return
    former = None if repeat is None else _former(context, repeat)
    opened = _bundle(paths, former)
    options = (
        _options_of(former)
        if former
        else _options(
            threads=threads,
            batch=batch,
            samples=samples,
            warmup=warmup,
            fps=fps,
            frames=frames,
            max_seconds=max_seconds,
            variant=variant,
            native=native,
            cores=core_numbers(cores),
            arena=arena,
        )
    )
    if host is None:
        _refuse_other_device(device)
        result = _measure_here(opened, options)
    else:
        result = _measure_there(host, opened, options, device)
    if former is not None:
        result["repeats"] = {"result": str(repeat), **_comparison(former, result)}
    _show(result, untrained_note(opened), output, json)
    if limit is not None:
        _fail_if_slower([result["repeats"]], [str(repeat)], limit)


def _refuse_target(output: Path) -> None:
    from edgevit.common.files import refuse_target

    refuse_target(output)


def _measure_here(bundle: Bundle, options: BenchOptions) -> dict[str, Any]:
    from edgevit.common.progress import progress_for_stderr
    from edgevit_runtimes.bench import measure

    return measure.bench(bundle, options, progress_for_stderr())


def _measure_there(
    host: str, bundle: Bundle, options: BenchOptions, device: Device
) -> dict[str, Any]:
    from edgevit.cli.device.devices_command import connection
    from edgevit.common.progress import progress_for_stderr
    from edgevit_runtimes.remote.runs import bench_there

    with connection(host) as ssh:
        return bench_there(ssh, bundle, options, device.value, progress_for_stderr())


def _resume(run: str) -> dict[str, Any]:
    from edgevit.common.progress import progress_for_stderr
    from edgevit_runtimes.remote.device_address import Device as Address
    from edgevit_runtimes.remote.pending import read_pending
    from edgevit_runtimes.remote.runs import follow
    from edgevit_runtimes.remote.ssh import Ssh

    pending = read_pending(run)
    with Ssh(Address(pending.host, pending.folder)) as ssh:
        return follow(ssh, pending, progress_for_stderr())


def _options(**values: Any) -> BenchOptions:
    from edgevit_runtimes.bench.bench_options import BenchOptions

    return BenchOptions(**values)


def _options_of(former: dict[str, Any]) -> BenchOptions:
    """Of a result to repeat, which may hold anything."""
    from edgevit.common.typed import from_plain
    from edgevit_runtimes.bench.bench_options import BenchOptions

    try:
        return from_plain(BenchOptions, former["options"], "options")
    except ValueError as error:
        raise InputError(f"The result cannot be repeated: {error}.") from error


def _former(context: typer.Context, path: Path) -> dict[str, Any]:
    """The result to repeat. How it was measured is its own, so nothing of that may be given."""
    from edgevit.results.bench_result import read_result

    given = [
        f"--{name.replace('_', '-')}"
        for name in _HOW
        if str(context.get_parameter_source(name)).endswith("COMMANDLINE")
    ]
    if given:
        raise InputError(
            f"--repeat takes how to measure from {path}; leave out {', '.join(given)}."
        )
    return read_result(path)


def _bundle(paths: list[Path] | None, former: dict[str, Any] | None) -> Bundle:
    """The one that was given, or that of the result to repeat, if its model is still the same."""
    if len(paths or []) > 1:
        raise InputError(f"Got {len(paths or [])} bundles; bench measures one at a time.")
    path = paths[0] if paths else None
    if former is None:
        return open_bundle(path)
    model = former["model"]
    named = Path(str(model.get("bundle")))
    if path is None and not named.exists():
        raise InputError(
            f"The result was measured with {named}, which is not here. Give the bundle too: "
            "edgevit bench BUNDLE --repeat RESULT"
        )
    bundle = open_bundle(path or named)
    file = bundle.variant(model["variant"])
    if bundle.manifest.files[file.name].sha256 != model.get("file_sha256"):
        raise InputError(
            f"{bundle.path} holds another {model['variant']} model than the result was measured "
            "with (its SHA-256 differs). Give the bundle that it was."
        )
    return bundle


def _refuse_other_device(device: Device) -> None:
    from edgevit_runtimes.devices.machine import describe

    here = describe()
    if device is not Device.auto and here.kind != device.value:
        raise InputError(
            f"--device {device.value} was asked for, but this machine is {here.kind} "
            f"({here.architecture}). Measure another one with --host user@address, or this one "
            "with --device auto."
        )


def _share(text: str | None) -> float | None:
    """``5%`` or ``5`` is 0.05."""
    if text is None:
        return None
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 1000:
        raise InputError(f"--fail-if-slower got '{text}'; expected a percentage such as 5%.")
    return percent / 100


def _compare(paths: list[Path], limit: float | None, as_json: bool) -> None:
    from edgevit.cli.measure.bench_tables import print_comparisons
    from edgevit.common.console import print_json
    from edgevit.results.bench_result import read_result

    if len(paths) < 2:
        raise InputError(
            f"--compare got {len(paths)} results; it needs two or more: "
            "edgevit bench --compare before.json after.json"
        )
    first, *others = [read_result(path) for path in paths]
    comparisons = [_comparison(first, other) for other in others]
    names = [str(path) for path in paths]
    if as_json:
        each = [{"result": n, **c} for n, c in zip(names[1:], comparisons, strict=True)]
        print_json({"first": names[0], "others": each})
    else:
        print_comparisons([first, *others], names, comparisons)
    if limit is not None:
        _fail_if_slower(comparisons, names[1:], limit)


def _comparison(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    from edgevit.results.compare import compare

    return compare(first, second)


def _fail_if_slower(comparisons: list[dict[str, Any]], names: list[str], limit: float) -> None:
    """Only what lies above the limit with its whole interval: noise is not to break a build."""
    slower = [
        f"{name}: p50 times {c['latency_p50']['ratio']:.3f} "
        f"({c['latency_p50']['interval_95'][0]:.3f} to {c['latency_p50']['interval_95'][1]:.3f})"
        for name, c in zip(names, comparisons, strict=True)
        if c["latency_p50"]["interval_95"][0] > 1 + limit
    ]
    if slower:
        raise CheckFailedError(f"Slower by more than {100 * limit:g} %: {'; '.join(slower)}.")


def _show(result: dict[str, Any], note: str | None, output: Path | None, as_json: bool) -> None:
    from edgevit.cli.measure.bench_tables import print_comparisons, print_result
    from edgevit.common.console import print_json, write_json

    if output is not None:
        write_json(output, result)
    if as_json:
        print_json(result)
        return
    print_result(result, note)
    if "kept" in result:
        print(f"kept in {result['kept']}")
    if "repeats" in result:
        print_comparisons([], ["", "this run"], [result["repeats"]])

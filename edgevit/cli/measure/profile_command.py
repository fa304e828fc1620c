"""``edgevit profile``: where the time of an inference goes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.options import JsonOption, ThreadsOption, open_bundle
from edgevit.common.errors import EdgevitError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit_export.inspect.work import Work
    from edgevit_runtimes.bench.peak import Peak
    from edgevit_runtimes.selection.profile import Profile

_WEIGHT_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
_SHOWN = 12


def profile(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle folder. Default: the prebuilt lla_tiny.")
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option(help="A variant to profile, again and again. Default: all.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Inferences; medians are shown.")] = 100,
    threads: ThreadsOption = 1,
    json: JsonOption = False,
) -> None:
    """Time every layer, in every runtime: by part of the model, by op, and against the limit."""
    from edgevit.common.console import print_json
    from edgevit.common.progress import progress_for_stderr
    from edgevit_runtimes.bench.peak import measure_peak
    from edgevit_runtimes.selection.profile import profile as profile_variant

    opened = open_bundle(bundle)
    named = variant or list(opened.manifest.variants)
    for name in named:
        opened.variant(name)  # an unknown one is an error before the work
    progress = progress_for_stderr()
    profiles: list[Profile] = []
    left_out: dict[str, str] = {}
    for name in named:
        try:
            profiles.append(profile_variant(opened, name, runs, threads, progress))
        except EdgevitError as error:
            if variant:
                raise
            left_out[name] = str(error)
    with progress.working("measure the machine's peak"):
        peak = measure_peak(threads)
    contents = [_content(each, _work_by_group(opened), peak) for each in profiles]
    if json:
        print_json(
            {
                "bundle": str(opened.path),
                "peak": {"threads": threads, **_peak_json(peak)},
                "profiles": contents,
                "left_out": left_out,
            }
        )
        return
    for content in contents:
        _print(content)
    _print_notes(peak, left_out)


def _work_by_group(bundle: Bundle) -> dict[str, Work]:
    """Products of every part; nothing where the module ``onnx`` is not installed."""
    if find_spec("onnx") is None:
        return {}
    from edgevit.inference.node_names import SUPERPIXELS, group_of, module_of
    from edgevit_export.inspect.work import Work, product_work

    groups: dict[str, Work] = {}
    for work in product_work(bundle):
        module = module_of(work.name)
        group = group_of(module) if module else SUPERPIXELS
        before = groups.get(group, Work(group, 0, 0))
        groups[group] = Work(group, before.macs + work.macs, before.weights + work.weights)
    return groups


def _peak_json(peak: Peak) -> dict[str, float]:
    return {
        "float32_gmacs_per_s": round(peak.macs_per_s / 1e9, 2),
        "memory_gb_per_s": round(peak.bytes_per_s / 1e9, 2),
    }


def _content(profile: Profile, work: dict[str, Work], peak: Peak) -> dict[str, Any]:
    groups = [
        {
            "group": group,
            "microseconds": round(microseconds, 1),
            "share": round(microseconds / profile.microseconds, 4),
            **_limit(profile, microseconds, work.get(group), peak),
        }
        for group, microseconds in profile.by_group().items()
    ]
    return {
        "variant": profile.variant,
        "runtime": profile.runtime,
        "precision": profile.precision,
        "batch": profile.batch,
        "runs": profile.runs,
        "latency_ms_p50": round(profile.latency_ms, 4),
        "profiled_nodes_ms": round(profile.microseconds / 1000, 4),
        "groups": groups,
        "ops": {op: round(each, 1) for op, each in profile.by_op().items()},
        "layers": [
            {
                "name": layer.name,
                "module": layer.module,
                "group": layer.group,
                "op": layer.op,
                "microseconds": round(layer.microseconds, 1),
            }
            for layer in profile.layers
        ],
    }


def _limit(profile: Profile, microseconds: float, work: Work | None, peak: Peak) -> dict[str, Any]:
    """What the part's products would take at the machine's peak, for a batch."""
    if work is None:
        return {"macs": None, "weight_bytes": None, "limit_microseconds": None, "of_limit": None}
    macs = work.macs * profile.batch
    weight_bytes = work.weights * _WEIGHT_BYTES[profile.precision]
    least = peak.least_microseconds(macs, weight_bytes)
    return {
        "macs": macs,
        "weight_bytes": weight_bytes,
        "limit_microseconds": round(least, 1),
        "of_limit": round(least / microseconds, 4) if microseconds else None,
    }


def _print(content: dict[str, Any]) -> None:
    from edgevit.common.console import print_table

    columns = ("part", "us", "share", "MMACs", "weights KiB", "limit us", "of the limit")
    title = (
        f"{content['variant']}, {content['runtime']} {content['precision']}: "
        f"{content['latency_ms_p50']:.2f} ms; all nodes, profiled, "
        f"{content['profiled_nodes_ms']:.2f} ms"
    )
    print_table(title, columns, [_group_row(row) for row in content["groups"]], columns[1:])
    total = 1000 * content["profiled_nodes_ms"]
    ops = list(content["ops"].items())[:_SHOWN]
    rows = [(op, f"{each:.0f}", f"{100 * each / total:.1f} %") for op, each in ops]
    print_table("by op", ("op", "us", "share"), rows, ("us", "share"))
    longest = sorted(content["layers"], key=lambda layer: -float(layer["microseconds"]))[:_SHOWN]
    rows = [(each["name"], each["op"], f"{each['microseconds']:.0f}") for each in longest]
    print_table("longest layers (all of them with --json)", ("layer", "op", "us"), rows, ("us",))


def _group_row(row: dict[str, Any]) -> tuple[str, ...]:
    known = row["macs"] is not None
    return (
        row["group"],
        f"{row['microseconds']:.0f}",
        f"{100 * row['share']:.1f} %",
        f"{row['macs'] / 1e6:.2f}" if known else "-",
        f"{row['weight_bytes'] / 1024:.0f}" if known else "-",
        f"{row['limit_microseconds']:.0f}" if known else "-",
        f"{100 * row['of_limit']:.0f} %" if known and row["of_limit"] is not None else "-",
    )


def _print_notes(peak: Peak, left_out: dict[str, str]) -> None:
    from edgevit.common.console import print_line

    print(
        f"limit: {peak.macs_per_s / 1e9:.0f} GMAC/s in float32 and {peak.bytes_per_s / 1e9:.1f} "
        f"GB/s from memory, measured here with {peak.threads} thread(s)"
    )
    if find_spec("onnx") is None:
        print('MACs and weights of the parts need pip install "edgevit[export]"')
    for name, reason in left_out.items():
        print_line(f"{name}: not profiled here: {reason}")

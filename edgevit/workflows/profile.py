"""Where the time of an inference goes: by part of the model, by operator, by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle
from edgevit.common.errors import EdgevitError, InputError
from edgevit.common.installation.install_command import install_command
from edgevit.common.libraries import is_installed
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table, counted
from edgevit.results.plots import check_picture
from edgevit.workflows.trial.trial_opening import try_untrusted

if TYPE_CHECKING:
    from edgevit_export.inspect.work import Work
    from edgevit_runtimes.bench.peak import Peak
    from edgevit_runtimes.selection.profile import Profile

_WEIGHT_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
_SHOWN = 12


@dataclass(frozen=True)
class ProfileResult(Result):
    """work: products of every part of the model; empty where the module ``onnx`` is missing.

    peak: what this machine computes and reads at most. left_out: why a variant was not profiled.
    """

    bundle: Bundle
    profiles: tuple[Profile, ...]
    work: dict[str, Work]
    peak: Peak
    left_out: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        return {
            "bundle": str(self.bundle.path),
            "peak": {
                "threads": self.peak.threads,
                "float32_gmacs_per_s": round(self.peak.macs_per_s / 1e9, 2),
                "memory_gb_per_s": round(self.peak.bytes_per_s / 1e9, 2),
            },
            "profiles": [self._content(profile) for profile in self.profiles],
            "left_out": self.left_out,
        }

    def sections(self) -> list[Section]:
        peak = self.peak
        tables = [table for p in self.profiles for table in _tables(self._content(p))]
        lines = [
            f"limit: {peak.macs_per_s / 1e9:.0f} GMAC/s in float32 and "
            f"{peak.bytes_per_s / 1e9:.1f} GB/s from memory, measured here with "
            f"{counted(peak.threads, 'thread')}"
        ]
        if not self.work:
            lines.append(f"for MACs and weights of the parts: {install_command('export')}")
        lines += [f"{name}: not profiled here: {why}" for name, why in self.left_out.items()]
        return [*tables, *lines]

    def _content(self, profile: Profile) -> dict[str, Any]:
        groups = [
            {
                "group": group,
                "microseconds": round(microseconds, 1),
                "share": round(microseconds / profile.microseconds, 4),
                **_limit(profile, microseconds, self.work.get(group), self.peak),
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


def profile(
    bundle: Bundle,
    *,
    variants: Sequence[str] | None = None,
    runs: int = 100,
    threads: int = 1,
    plot: Path | str | None = None,
    progress: Progress | None = None,
) -> ProfileResult:
    """Times every layer of every variant in its runtime, on the bundle's own pictures.

    Args:
        variants: names; by default all, and those that cannot be profiled here are left out.
        runs: inferences; medians are given.
        plot: draw the times by part and by operator into this .png, .svg or .pdf.

    Raises:
        InputError: the picture cannot be written. MissingExtraError: it needs matplotlib.
        BundleError: the bundle has no such variant.
        CheckFailedError: a model of an untrusted bundle does not pass its trial.
        EdgevitError: a variant that was asked for by name cannot be opened or profiled here.
    """
    from edgevit_runtimes.bench.peak import measure_peak
    from edgevit_runtimes.selection.profile import profile as profile_variant

    progress = progress or SilentProgress()
    if plot is not None:
        check_picture("--plot", Path(plot))
    named = list(variants or bundle.manifest.variants)
    for name in named:
        bundle.entry(name)  # an unknown one is an error before the work
    try_untrusted(bundle, (FLOAT_VARIANT, *named), progress)
    profiles: list[Profile] = []
    left_out: dict[str, str] = {}
    for name in named:
        try:
            profiles.append(profile_variant(bundle, name, runs, threads, progress))
        except EdgevitError as error:
            if variants:
                raise
            left_out[name] = str(error)
    with progress.working("measure how fast this machine can compute and read memory"):
        peak = measure_peak(threads)
    result = ProfileResult(bundle, tuple(profiles), _work_by_group(bundle), peak, left_out)
    if plot is not None:
        _draw(result, runs, Path(plot))
    return result


def _draw(result: ProfileResult, runs: int, target: Path) -> None:
    """
    Raises:
        InputError: no variant could be profiled, or the picture cannot be written.
    """
    from edgevit.results.profile_plot import draw_profile

    if not result.profiles:
        reasons = "; ".join(f"{name}: {why}" for name, why in result.left_out.items())
        raise InputError(f"No variant was profiled, so there is nothing to draw: {reasons}")
    name, threads = result.bundle.manifest.model.name, result.peak.threads
    title = f"{name}: medians of {runs} inferences, {counted(threads, 'thread')}"
    draw_profile(result.to_dict(), target, title)


def _work_by_group(bundle: Bundle) -> dict[str, Work]:
    """Products of every part; nothing where the module ``onnx`` is not installed."""
    if not is_installed("onnx"):
        return {}
    from edgevit.inference.node_names import IMPORTED, SUPERPIXELS, UNNAMED, group_in, module_of
    from edgevit_export.inspect.work import Work, product_work

    groups: dict[str, Work] = {}
    family = bundle.manifest.model.family
    unnamed = UNNAMED if family == IMPORTED else SUPERPIXELS
    for work in product_work(bundle):
        module = module_of(work.name)
        group = group_in(family)(module) if module else unnamed
        before = groups.get(group, Work(group, 0, 0))
        groups[group] = Work(group, before.macs + work.macs, before.weights + work.weights)
    return groups


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


def _tables(content: dict[str, Any]) -> list[Table]:
    """By part of the model, by operator, and the longest layers."""
    columns = ("part", "us", "share", "MMACs", "weights KiB", "limit us", "of the limit")
    title = (
        f"{content['variant']}, {content['runtime']} {content['precision']}: "
        f"{content['latency_ms_p50']:.2f} ms; all nodes, profiled, "
        f"{content['profiled_nodes_ms']:.2f} ms"
    )
    groups = [_group_row(row) for row in content["groups"]]
    total = 1000 * content["profiled_nodes_ms"]
    ops = list(content["ops"].items())[:_SHOWN]
    by_op = [(op, f"{each:.0f}", f"{100 * each / total:.1f} %") for op, each in ops]
    longest = sorted(content["layers"], key=lambda layer: -float(layer["microseconds"]))[:_SHOWN]
    layers = [(each["name"], each["op"], f"{each['microseconds']:.0f}") for each in longest]
    heading = "longest layers (all of them with --json)"
    return [
        Table(title, columns, groups, columns[1:]),
        Table("by op", ("op", "us", "share"), by_op, ("us", "share")),
        Table(heading, ("layer", "op", "us"), layers, ("us",)),
    ]


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

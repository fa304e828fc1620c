"""A profile as a picture: a row for every variant, with its time by part and by operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit.results import plot_fonts
from edgevit.results.plots import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_OPS = 8
_WIDTH_INCHES, _ROW_INCHES, _FRAME_INCHES = 11.0, 2.9, 0.8


def draw_profile(document: Mapping[str, Any], target: Path, how: str) -> None:
    """On the left the parts of the model, on the right the operators that take longest.

    A black line at a part is the least time that its products take at this machine's peak.

    Args:
        document: :meth:`edgevit.workflows.profile.ProfileResult.to_dict`.
        target: a .png, .svg or .pdf file.
        how: how it was measured, for the title.
    """
    from matplotlib.figure import Figure

    profiles = document["profiles"]
    height = _FRAME_INCHES + _ROW_INCHES * len(profiles)
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    rows = figure.subplots(len(profiles), 2, squeeze=False)
    for (left, right), profile in zip(rows, profiles, strict=True):
        groups = {row["group"]: row["microseconds"] for row in profile["groups"]}
        _bars(left, groups, _title(profile))
        _mark_limits(left, [row["limit_microseconds"] for row in profile["groups"]])
        ops = profile["ops"]
        longest = sorted(ops, key=lambda op: -ops[op])[:_MOST_OPS]
        _bars(
            right,
            {op: ops[op] for op in longest},
            f"the {len(longest)} longest of {len(ops)} operators",
        )
    figure.suptitle(how, fontsize="medium", parse_math=False)
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower left")
    save(figure, target)


def _title(profile: Mapping[str, Any]) -> str:
    (name,), _ = plot_fonts.shown([profile["variant"]])
    return f"{name}: {profile['latency_ms_p50']:.2f} ms in {profile['runtime']}"


def _bars(axes: Axes, microseconds: Mapping[str, float], title: str) -> None:
    names, style = plot_fonts.shown(list(microseconds))
    axes.barh(range(len(names)), [each / 1e3 for each in microseconds.values()], height=0.7)
    axes.set_yticks(range(len(names)), names, **style)
    axes.invert_yaxis()
    axes.set_title(title, fontsize="medium", parse_math=False)
    axes.set_xlabel("milliseconds, median")
    axes.grid(alpha=0.3, axis="x")
    axes.set_axisbelow(True)


def _mark_limits(axes: Axes, microseconds: Sequence[float | None]) -> None:
    """A line across the bar of every part whose products are known."""
    known = [(each / 1e3, place) for place, each in enumerate(microseconds) if each is not None]
    if known:
        times, places = zip(*known, strict=True)
        label = "least time at this machine's peak"
        axes.scatter(times, places, marker="|", s=220, color="black", zorder=3, label=label)
